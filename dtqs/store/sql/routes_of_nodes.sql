-- The doctor: the routes of the processes heard of lately.
SELECT DISTINCT node_name, role, routes
FROM counters
WHERE role IN ('api', 'keeper', 'worker') AND updated_at > now() - %(age)s * interval '1 s'
ORDER BY node_name, role, routes

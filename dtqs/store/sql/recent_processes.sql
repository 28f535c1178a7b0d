-- `dtqs migrate`, before a migration that running processes would not survive: recent processes by node and role.
SELECT node_name, role, count(*)
FROM (
    SELECT node_name, 'worker' AS role
    FROM workers
    WHERE dead_at IS NULL AND heartbeat_at > now() - %(age)s * interval '1 s'
    UNION ALL
    SELECT node_name, role
    FROM counters
    WHERE role IN ('api', 'keeper') AND updated_at > now() - %(age)s * interval '1 s'
) AS recent
GROUP BY node_name, role
ORDER BY node_name, role

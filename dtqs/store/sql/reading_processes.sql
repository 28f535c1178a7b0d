-- Readings: the keepers and API processes that wrote their totals lately.
SELECT process_id::text, role, node_name, extract(epoch FROM now() - updated_at)::float8
FROM counters
WHERE role IN ('keeper', 'api') AND updated_at > now() - %(age)s * interval '1 s'
ORDER BY role DESC, node_name, process_id

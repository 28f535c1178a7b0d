-- Readings: the keepers and API processes that wrote their totals lately. Keepers tell which slots are given up, and
-- which queues keep no hints.
SELECT
    process_id::text, role, node_name, extract(epoch FROM now() - updated_at)::float8,
    CASE WHEN role = 'keeper' THEN (
        SELECT jsonb_object_agg(each.key, each.value)
        FROM jsonb_each(metrics) each
        WHERE starts_with(each.key, '=given_up|') OR starts_with(each.key, '=unkept|')
    ) END
FROM counters
WHERE role IN ('keeper', 'api') AND updated_at > now() - %(age)s * interval '1 s'
ORDER BY role DESC, node_name, process_id

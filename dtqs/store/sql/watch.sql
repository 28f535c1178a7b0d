-- Streams: what is new in the logs of the watched tasks, each after its own position.
SELECT g.id, x.id::text, g.event, g.attempt, g.level, g.message, g.data, {utc g.at}
FROM unnest(%(ids)s::text::uuid[], %(after)s::bigint[]) x(id, after) CROSS JOIN LATERAL (
    SELECT g.* FROM logs g WHERE g.task_id = x.id AND {lived g.at} AND g.id > x.after ORDER BY g.id LIMIT %(limit)s) g ORDER BY g.id

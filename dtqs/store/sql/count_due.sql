-- Keeper, each second, only for pools that scale themselves: the number of due tasks of `types`, or of all other types
-- if these are not `chosen`. It looks at a bounded number of rows. A due row is published again after `far_out` seconds
-- at the latest, so due rows come before that horizon. After a full look the number is at least 1: due tasks of these
-- types may be behind those of others, and with 0 a pool without workers would never take them.
SELECT greatest(
    count(*) FILTER (WHERE due_at <= now() AND (task_type = ANY (%(types)s::text[])) = %(chosen)s),
    (count(*) >= %(most)s)::int
)
FROM (
    SELECT due_at, task_type
    FROM backlog
    WHERE publish_at <= now() + %(far_out)s * interval '1 s'
    ORDER BY publish_at
    LIMIT %(most)s
) near

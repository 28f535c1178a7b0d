-- Readings: the newest log rows of one task, oldest first; looks at a bounded number of them.
WITH seen AS MATERIALIZED (SELECT * FROM logs WHERE task_id = %(task_id)s::uuid AND {lived at} AND id > %(after)s ORDER BY id DESC LIMIT %(look)s)
SELECT g.id, {utc g.at}, g.task_id::text, t.task_type, g.event, g.attempt, g.level, g.message, g.data
FROM (
    SELECT * FROM seen WHERE level = ANY (%(levels)s)
        AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(message)) > 0 OR position(lower(%(search)s) IN lower(data::text)) > 0 OR event = %(search)s)
    ORDER BY id DESC LIMIT %(limit)s
) g LEFT JOIN tasks t ON t.id = g.task_id ORDER BY g.id

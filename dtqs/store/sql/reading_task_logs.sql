-- Readings: the newest log rows of one task, oldest first; looks at a bounded number of them.
WITH seen AS MATERIALIZED (SELECT * FROM logs WHERE task_id = %(task_id)s::uuid AND {lived at} ORDER BY id DESC LIMIT %(look)s)
SELECT g.id, {utc g.at}, g.task_id::text, (SELECT t.task_type FROM tasks t WHERE t.id = g.task_id), g.event, g.attempt, g.level, g.message, g.data
FROM (SELECT * FROM seen WHERE {fits} ORDER BY id DESC LIMIT %(limit)s) g ORDER BY g.id

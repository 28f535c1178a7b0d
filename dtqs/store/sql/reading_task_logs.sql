-- Readings: the newest log rows of one task, oldest first. It looks at a bounded number of them.
WITH seen AS MATERIALIZED (
    SELECT *
    FROM logs
    WHERE task_id = %(task_id)s::uuid AND {lived at}
    ORDER BY id DESC
    LIMIT %(look)s
)
SELECT
    log.id, {utc log.at}, log.task_id::text, (SELECT task.task_type FROM tasks task WHERE task.id = log.task_id),
    log.event, log.attempt, log.level, {shown}
FROM (
    SELECT *
    FROM seen
    WHERE {fits}
    ORDER BY id DESC
    LIMIT %(limit)s
) log
ORDER BY log.id

-- Readings: the newest log rows since a time, oldest first. They are found by their time, which has a BRIN index. The
-- place of a row in the table does not tell its age: the server puts rows wherever older pages have room.
SELECT
    log.id, {utc log.at}, log.task_id::text, (SELECT task.task_type FROM tasks task WHERE task.id = log.task_id),
    log.event, log.attempt, log.level, {shown}
FROM (
    SELECT *
    FROM logs
    WHERE at >= to_timestamp(%(since)s::float8)
        AND at < now() + interval '1 day'
        AND {fits}
    ORDER BY id DESC
    LIMIT %(limit)s
) log
ORDER BY log.id

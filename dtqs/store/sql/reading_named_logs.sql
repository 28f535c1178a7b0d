-- Readings: log rows by their ids, all of them younger than a time.
SELECT
    log.id, {utc log.at}, log.task_id::text, (SELECT task.task_type FROM tasks task WHERE task.id = log.task_id),
    log.event, log.attempt, log.level, {shown}
FROM logs log
WHERE log.at >= to_timestamp(%(since)s::float8)
    AND log.at < now() + interval '1 day'
    AND log.id = ANY (%(ids)s::bigint[])
ORDER BY log.id

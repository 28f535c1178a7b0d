-- Readings: log rows by their ids, all of them since a time.
SELECT g.id, {utc g.at}, g.task_id::text, (SELECT t.task_type FROM tasks t WHERE t.id = g.task_id), g.event, g.attempt, g.level, g.message, g.data
FROM logs g WHERE g.at >= to_timestamp(%(since)s::float8) AND g.at < now() + interval '1 day' AND g.id = ANY (%(ids)s::bigint[]) ORDER BY g.id

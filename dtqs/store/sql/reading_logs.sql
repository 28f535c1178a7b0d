-- Readings: the newest log rows since a time, oldest first. By their time, which the BRIN index knows: where in the table a row lies says nothing of it,
-- since the server puts rows wherever older pages have room.
SELECT g.id, {utc g.at}, g.task_id::text, (SELECT t.task_type FROM tasks t WHERE t.id = g.task_id), g.event, g.attempt, g.level, g.message, g.data
FROM (SELECT * FROM logs WHERE at >= to_timestamp(%(since)s::float8) AND at < now() + interval '1 day' AND {fits} ORDER BY id DESC LIMIT %(limit)s) g ORDER BY g.id

-- Streams: where the watched tasks are now, and the last log row of each.
SELECT s.id::text, s.status, s.attempt, (SELECT g.id FROM logs g WHERE g.task_id = s.id AND {lived g.at} ORDER BY g.id DESC LIMIT 1) FROM task_status s WHERE s.id = ANY (%(ids)s::text::uuid[])

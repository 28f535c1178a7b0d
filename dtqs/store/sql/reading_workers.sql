-- Readings: the workers that are not marked dead, with the last progress of what each runs, if it is among the last rows of that task's log; and how many workers there are.
SELECT w.id::text, w.node_name, w.pool, w.slot, w.pid, w.state, w.task_id::text, w.task_type, extract(epoch FROM now() - w.task_started_at)::float8, p.data,
    w.memory_bytes, w.completed, w.failed, extract(epoch FROM now() - w.heartbeat_at)::float8, w.task_types, w.living
FROM (SELECT *, count(*) OVER () AS living FROM workers WHERE dead_at IS NULL ORDER BY id DESC LIMIT %(limit)s) w
LEFT JOIN LATERAL (
    SELECT l.data FROM (
        SELECT g.id, g.event, g.data FROM logs g
        WHERE g.task_id = w.task_id AND g.at >= w.task_started_at - interval '1 min' AND g.at < now() + interval '1 day' ORDER BY g.id DESC LIMIT %(look)s
    ) l WHERE l.event = 'progress' ORDER BY l.id DESC LIMIT 1
) p ON true
ORDER BY w.node_name, w.pool, w.slot, w.id

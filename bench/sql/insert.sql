-- Submit: the task and its backlog row in one commit.
WITH inserted AS (
    INSERT INTO tasks (id, task_type, light, payload)
    SELECT given.id, 'echo', true, given.payload::jsonb
    FROM unnest(%(ids)s::text::uuid[], %(payloads)s::text[]) given(id, payload)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, task_type, light, priority
)
INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at)
SELECT id, task_type, light, priority, now(), now() + '5s'
FROM inserted

-- Submit: the task and its backlog row in one commit.
WITH t AS (
    INSERT INTO tasks (id, task_type, light, payload) SELECT i, 'echo', true, p::jsonb FROM unnest(%(ids)s::text::uuid[], %(payloads)s::text[]) x(i, p)
    ON CONFLICT (id) DO NOTHING RETURNING id, task_type, light, priority
)
INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at) SELECT id, task_type, light, priority, now(), now() + '5s' FROM t

    RETURNING id, task_type, light, priority, due_at, submitted_by
)
INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at, counted_for)
SELECT
    id, task_type, light, priority, greatest(due_at, now()),
    coalesce(CASE WHEN due_at > now() THEN due_at END, now() + %(grace)s * interval '1 s'),
    CASE WHEN submitted_by = ANY (%(counted)s::text::uuid[]) THEN submitted_by END
FROM task
RETURNING task_id::text, publish_at::text, (due_at <= now())::text

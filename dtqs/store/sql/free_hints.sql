-- A worker whose claim left tasks out: the contents of the hints of those that are due, and whether a row is free now.
WITH free AS MATERIALIZED (
    SELECT task_id
    FROM backlog
    WHERE task_id = ANY (%(ids)s::text::uuid[]) AND due_at <= now()
    ORDER BY task_id
    FOR UPDATE SKIP LOCKED
)
SELECT
    waiting.task_id::text, waiting.task_type, waiting.light, waiting.priority, waiting.publish_at::text,
    waiting.task_id = ANY (ARRAY(SELECT task_id FROM free))
FROM backlog waiting
WHERE waiting.task_id = ANY (%(ids)s::text::uuid[]) AND waiting.due_at <= now()

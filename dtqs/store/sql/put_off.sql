-- A worker that does not know a task's type, because its code is older: leave the tasks in the backlog for others. It
-- changes only tasks of that type, since the hint that named them may be forged.
WITH locked AS MATERIALIZED (
    SELECT task_id
    FROM backlog
    WHERE task_id = ANY (%(ids)s::text::uuid[]) AND task_type = %(task_type)s
    ORDER BY task_id
    FOR UPDATE SKIP LOCKED
)
UPDATE backlog waiting
SET publish_at = greatest(waiting.due_at, now() + %(seconds)s * interval '1 s')
FROM locked
WHERE waiting.task_id = locked.task_id

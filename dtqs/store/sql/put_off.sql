-- A worker that does not know a task's type (an old one, during a deploy) leaves it in the backlog for others. Only tasks of that type: the hint that
-- named them may be forged.
WITH l AS MATERIALIZED (
    SELECT task_id FROM backlog WHERE task_id = ANY (%(ids)s::text::uuid[]) AND task_type = %(task_type)s ORDER BY task_id FOR UPDATE SKIP LOCKED
)
UPDATE backlog b SET publish_at = greatest(b.due_at, now() + %(seconds)s * interval '1 s') FROM l WHERE b.task_id = l.task_id

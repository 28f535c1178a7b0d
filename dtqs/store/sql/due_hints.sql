-- A process that made tasks due now: the contents of their hints. far_out needs the publish times.
SELECT task_id::text, task_type, light, priority, publish_at::text
FROM backlog
WHERE task_id = ANY (%(ids)s::text::uuid[]) AND due_at <= now()

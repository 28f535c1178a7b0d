-- Who has just made tasks due now: what their hints must say. Publish times come along for far_out.
SELECT task_id::text, task_type, light, priority, publish_at::text FROM backlog WHERE task_id = ANY (%(ids)s::text::uuid[]) AND due_at <= now()

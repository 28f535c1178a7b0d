-- The API and the console: some tasks whole, by id.
{record}
FROM task_status task
WHERE task.id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)

-- API and console: some tasks whole, by id.
{record}
FROM task_status s
WHERE s.id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR s.submitted_by = %(owner)s::uuid)

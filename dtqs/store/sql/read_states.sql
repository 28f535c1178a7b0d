-- The API: status and progress of some tasks, without payloads and results, which may be large for a hundred tasks.
SELECT
    task.id::text,
    task.status,
    task.attempt,
    {progress}
FROM task_status task
WHERE task.id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)

-- A worker, before a task's processor reads an upload or an output: whether the task's own key owns the file. Tasks of
-- an admin's key, and all tasks without authentication, may read every file.
SELECT 1
FROM tasks task
JOIN files file ON file.id = %(file_id)s::uuid
WHERE task.id = %(task_id)s::uuid AND (
    task.submitted_by IS NULL
    OR file.submitted_by = task.submitted_by
    OR EXISTS (SELECT FROM api_keys key WHERE key.id = task.submitted_by AND 'admin' = ANY (key.scopes))
)

SELECT
    task.id::text, task.task_type, task.status, task.priority, task.attempt, task.max_retries,
    task.payload, task.result, task.error, to_json(coalesce(task.tags, '{}')) AS tags,
    {progress} AS progress,
    task.retry_of::text,
    {utc task.created_at} AS created_at, {utc task.due_at} AS due_at,
    {utc task.started_at} AS started_at, {utc task.finished_at} AS finished_at,
    task.submitted_by::text, task.request_id

settled AS (
    UPDATE tasks task SET
        attempts = task.attempts + (settlement.kind NOT IN ('unspent', 'lost'))::int,
        deaths = task.deaths + (settlement.kind IN ('died', 'last_death'))::int,
        losses = task.losses + (settlement.kind IN ('lost', 'last_loss'))::int,
        result = CASE WHEN settlement.kind = 'completed' THEN settlement.value::json END,
        error = CASE settlement.kind
            WHEN 'completed' THEN NULL
            WHEN 'unspent' THEN task.error
            ELSE settlement.value::json END,
        started_at = CASE
            WHEN settlement.kind IN ('unspent', 'lost') THEN task.started_at
            ELSE settlement.started_at END,
        worker_id = CASE WHEN settlement.kind IN ('unspent', 'lost') THEN task.worker_id ELSE settlement.worker_id END,
        finished_at = CASE
            WHEN settlement.kind IN ('completed', 'failed', 'last_death', 'last_loss')
                OR task.cancel_requested_at IS NOT NULL
                OR settlement.kind NOT IN ('unspent', 'lost') AND task.attempts >= task.max_retries
            THEN now() END,
        outcome = CASE
            WHEN settlement.kind IN ('completed', 'failed') THEN settlement.kind
            WHEN task.cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN settlement.kind IN ('last_death', 'last_loss')
                OR settlement.kind NOT IN ('unspent', 'lost') AND task.attempts >= task.max_retries
            THEN 'failed' END
    FROM settlement
    WHERE task.id = settlement.id AND task.outcome IS NULL
    RETURNING
        task.id, task.task_type, task.light AND task.attempts + task.losses = 0 AS light,
        CASE WHEN task.deaths > 0 THEN 0 ELSE task.priority END AS priority,
        task.outcome, task.attempts, task.submitted_by,
        settlement.worker_id, settlement.kind, settlement.value, settlement.delay
),
retried AS (
    INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at, counted_for)
    SELECT
        id, task_type, light, priority,
        now() + delay * interval '1 s',
        now() + CASE WHEN delay > 0 THEN delay ELSE %(grace)s END * interval '1 s',
        (SELECT key.id FROM api_keys key WHERE key.id = settled.submitted_by AND key.max_pending IS NOT NULL)
    FROM settled
    WHERE outcome IS NULL
),
failed AS (
    INSERT INTO failures (task_id, task_type, outcome)
    SELECT id, task_type, outcome
    FROM settled
    WHERE outcome IN ('failed', 'cancelled')
),
stored AS (
    INSERT INTO files (id, task_id, name, media_type, size_bytes, sha256, submitted_by)
    SELECT
        output.file_id, settled.id, output.name, output.media_type, output.size_bytes, output.sha256,
        settled.submitted_by
    FROM jsonb_to_recordset(%(files)s::jsonb)
        output(task_id uuid, file_id uuid, name text, media_type text, size_bytes bigint, sha256 text)
    JOIN settled ON settled.id = output.task_id
    WHERE settled.outcome = 'completed'
)
INSERT INTO logs (task_id, event, attempt, worker_id, level, message, data)
SELECT
    id,
    coalesce(outcome, 'pending'),
    attempts + (kind IN ('unspent', 'lost'))::int,
    worker_id,
    CASE
        WHEN kind = 'completed' OR kind = 'unspent' OR outcome = 'cancelled' THEN 'info'
        WHEN outcome = 'failed' THEN 'error'
        ELSE 'warning' END,
    CASE kind
        WHEN 'completed' THEN NULL
        WHEN 'unspent' THEN 'given back'
        ELSE value::json ->> 'message' END,
    CASE WHEN kind NOT IN ('completed', 'unspent') THEN value::json END
FROM settled
RETURNING id, task_id::text, event

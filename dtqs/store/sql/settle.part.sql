f AS (
    UPDATE tasks t SET
        attempts = t.attempts + (k.kind <> 'unspent')::int,
        deaths = t.deaths + (k.kind IN ('died', 'last_death'))::int,
        result = CASE WHEN k.kind = 'completed' THEN k.value::json END,
        error = CASE k.kind WHEN 'completed' THEN NULL WHEN 'unspent' THEN t.error ELSE k.value::json END,
        started_at = CASE WHEN k.kind = 'unspent' THEN t.started_at ELSE k.started_at END,
        worker_id = CASE WHEN k.kind = 'unspent' THEN t.worker_id ELSE k.worker_id END,
        finished_at = CASE WHEN k.kind IN ('completed', 'failed', 'last_death') OR t.cancel_requested_at IS NOT NULL
            OR k.kind <> 'unspent' AND t.attempts >= t.max_retries THEN now() END,
        outcome = CASE WHEN k.kind IN ('completed', 'failed') THEN k.kind WHEN t.cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN k.kind = 'last_death' OR k.kind <> 'unspent' AND t.attempts >= t.max_retries THEN 'failed' END
    FROM k WHERE t.id = k.id AND t.outcome IS NULL
    RETURNING t.id, t.task_type, t.light AND t.attempts = 0 AS light, CASE WHEN t.deaths > 0 THEN 0 ELSE t.priority END AS priority, t.outcome, t.attempts, t.submitted_by, k.worker_id, k.kind, k.value, k.delay
),
b AS (
    INSERT INTO backlog (task_id, task_type, light, priority, due_at, publish_at, counted_for)
    SELECT id, task_type, light, priority, now() + delay * interval '1 s', now() + CASE WHEN delay > 0 THEN delay ELSE %(grace)s END * interval '1 s',
        (SELECT key.id FROM api_keys key WHERE key.id = f.submitted_by AND key.max_pending IS NOT NULL)
    FROM f WHERE outcome IS NULL
),
e AS (INSERT INTO failures (task_id, task_type, outcome) SELECT id, task_type, outcome FROM f WHERE outcome IN ('failed', 'cancelled')),
o AS (
    INSERT INTO files (id, task_id, name, media_type, size_bytes, sha256, submitted_by)
    SELECT x.file_id, f.id, x.name, x.media_type, x.size_bytes, x.sha256, f.submitted_by
    FROM jsonb_to_recordset(%(files)s::jsonb) x(task_id uuid, file_id uuid, name text, media_type text, size_bytes bigint, sha256 text) JOIN f ON f.id = x.task_id WHERE f.outcome = 'completed'
)
INSERT INTO logs (task_id, event, attempt, worker_id, level, message, data)
SELECT id, coalesce(outcome, 'pending'), attempts + (kind = 'unspent')::int, worker_id,
    CASE WHEN kind = 'completed' OR kind = 'unspent' OR outcome = 'cancelled' THEN 'info' WHEN outcome = 'failed' THEN 'error' ELSE 'warning' END,
    CASE kind WHEN 'completed' THEN NULL WHEN 'unspent' THEN 'given back' ELSE value::json ->> 'message' END,
    CASE WHEN kind NOT IN ('completed', 'unspent') THEN value::json END
FROM f RETURNING id, task_id::text, event

SELECT s.id::text, s.task_type, s.status, s.priority, s.attempt, s.max_retries, s.payload, s.result, s.error, to_json(coalesce(s.tags, '{}')),
    CASE WHEN s.attempt > 0 AND NOT (s.light AND s.status = 'completed') THEN (
        SELECT g.data FROM logs g WHERE g.task_id = s.id AND {lived g.at} AND g.event = 'progress' AND g.attempt = s.attempt ORDER BY g.id DESC LIMIT 1) END,
    s.retry_of::text, {utc s.created_at}, {utc s.due_at}, {utc s.started_at}, {utc s.finished_at}, s.submitted_by::text

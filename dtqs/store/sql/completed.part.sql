WITH mine AS MATERIALIZED (
    DELETE FROM leases
    WHERE id = %(lease_id)s::uuid AND task_ids = %(ids)s::text::uuid[]
    RETURNING worker_id, started_at
),
settlement AS MATERIALIZED (
    SELECT mine.worker_id, mine.started_at, named.id, named.value
    FROM mine
    CROSS JOIN unnest(%(ids)s::text::uuid[], %(values)s::text[]) named(id, value)
    ORDER BY named.id
),
settled AS (
    UPDATE tasks task SET
        attempts = task.attempts + 1,
        result = settlement.value::json,
        error = NULL,
        started_at = settlement.started_at,
        worker_id = settlement.worker_id,
        finished_at = now(),
        outcome = 'completed'
    FROM settlement
    WHERE task.id = settlement.id AND task.outcome IS NULL

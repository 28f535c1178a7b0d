-- Each process, with its heartbeat: its totals so far.
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO counters (
    process_id, role, node_name,
    submitted, claimed, completed, failed, cancelled, retried, given_back, published, reclaimed, metrics, routes
)
SELECT
    %(process_id)s::uuid, %(role)s, %(node_name)s,
    %(submitted)s, %(claimed)s, %(completed)s, %(failed)s, %(cancelled)s,
    %(retried)s, %(given_back)s, %(published)s, %(reclaimed)s, %(metrics)s::jsonb, %(routes)s
FROM quick
ON CONFLICT (process_id) DO UPDATE SET
    submitted = excluded.submitted,
    claimed = excluded.claimed,
    completed = excluded.completed,
    failed = excluded.failed,
    cancelled = excluded.cancelled,
    retried = excluded.retried,
    given_back = excluded.given_back,
    published = excluded.published,
    reclaimed = excluded.reclaimed,
    metrics = excluded.metrics,
    routes = excluded.routes,
    updated_at = now()

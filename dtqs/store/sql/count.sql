-- Each process, with its heartbeat: its totals so far. A keeper may have folded its row after an hour of silence: then
-- these counts leave the folded row again, so that nothing counts twice.
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
back AS MATERIALIZED (
    DELETE FROM folded_counters
    WHERE process_id = %(process_id)s::uuid
    RETURNING *
),
share AS (
    SELECT
        sum(submitted)::bigint AS submitted,
        sum(claimed)::bigint AS claimed,
        sum(completed)::bigint AS completed,
        sum(failed)::bigint AS failed,
        sum(cancelled)::bigint AS cancelled,
        sum(retried)::bigint AS retried,
        sum(given_back)::bigint AS given_back,
        sum(published)::bigint AS published,
        sum(reclaimed)::bigint AS reclaimed
    FROM back
    HAVING count(*) > 0
),
taken_out AS (
    UPDATE counters folded SET
        submitted = folded.submitted - share.submitted,
        claimed = folded.claimed - share.claimed,
        completed = folded.completed - share.completed,
        failed = folded.failed - share.failed,
        cancelled = folded.cancelled - share.cancelled,
        retried = folded.retried - share.retried,
        given_back = folded.given_back - share.given_back,
        published = folded.published - share.published,
        reclaimed = folded.reclaimed - share.reclaimed,
        metrics = (
            SELECT jsonb_object_agg(joint.key, joint.value)
            FROM (
                SELECT each.key, sum(each.value) AS value
                FROM (
                    SELECT present.key, present.value::numeric
                    FROM jsonb_each_text(folded.metrics) present
                    UNION ALL
                    SELECT gone.key, - gone.value::numeric
                    FROM back
                    CROSS JOIN jsonb_each_text(back.metrics) gone
                ) each
                GROUP BY each.key
            ) joint
        )
    FROM share
    WHERE folded.process_id = '00000000-0000-0000-0000-000000000000'
)
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

-- A keeper: add the totals of processes that are gone to one row, so that sums never fall. A process that has ended
-- left no present value, such as =processes|worker; /metrics reads each row, so its row goes at once. One that was
-- silent for an hour may come back, so its counts are kept for a month: see count.
WITH gone AS MATERIALIZED (
    DELETE FROM counters
    WHERE process_id IN (
        SELECT process_id
        FROM counters
        WHERE role <> 'folded'
            AND (updated_at < now() - interval '1 hour' OR NOT metrics ? ('=processes|' || role))
        ORDER BY process_id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
    RETURNING *
),
-- present values, such as open streams, end with their process
lasting AS (
    SELECT gone.process_id, jsonb_object_agg(each.key, each.value::numeric) AS metrics
    FROM gone
    CROSS JOIN jsonb_each_text(gone.metrics) each
    WHERE left(each.key, 1) NOT IN ('=', '^')
    GROUP BY gone.process_id
),
kept AS (
    INSERT INTO folded_counters (
        process_id, submitted, claimed, completed, failed, cancelled, retried, given_back, published, reclaimed, metrics
    )
    SELECT
        gone.process_id, submitted, claimed, completed, failed, cancelled, retried, given_back, published, reclaimed,
        lasting.metrics
    FROM gone
    LEFT JOIN lasting ON lasting.process_id = gone.process_id
    WHERE (gone.metrics ? ('=processes|' || gone.role)) IS NOT FALSE
),
forgotten AS (DELETE FROM folded_counters WHERE folded_at < now() - interval '30 days'),
added AS (
    SELECT each.key AS name, sum(each.value::numeric) AS value
    FROM lasting
    CROSS JOIN jsonb_each_text(lasting.metrics) each
    GROUP BY each.key
),
total AS (
    SELECT
        (SELECT jsonb_object_agg(name, value) FROM added) AS metrics,
        coalesce(sum(submitted), 0)::bigint AS submitted,
        coalesce(sum(claimed), 0)::bigint AS claimed,
        coalesce(sum(completed), 0)::bigint AS completed,
        coalesce(sum(failed), 0)::bigint AS failed,
        coalesce(sum(cancelled), 0)::bigint AS cancelled,
        coalesce(sum(retried), 0)::bigint AS retried,
        coalesce(sum(given_back), 0)::bigint AS given_back,
        coalesce(sum(published), 0)::bigint AS published,
        coalesce(sum(reclaimed), 0)::bigint AS reclaimed
    FROM gone
    HAVING count(*) > 0
)
INSERT INTO counters AS folded (
    process_id, role, node_name,
    submitted, claimed, completed, failed, cancelled, retried, given_back, published, reclaimed, metrics
)
SELECT
    '00000000-0000-0000-0000-000000000000', 'folded', '',
    submitted, claimed, completed, failed, cancelled, retried, given_back, published, reclaimed, metrics
FROM total
ON CONFLICT (process_id) DO UPDATE SET
    submitted = folded.submitted + excluded.submitted,
    claimed = folded.claimed + excluded.claimed,
    completed = folded.completed + excluded.completed,
    failed = folded.failed + excluded.failed,
    cancelled = folded.cancelled + excluded.cancelled,
    retried = folded.retried + excluded.retried,
    given_back = folded.given_back + excluded.given_back,
    published = folded.published + excluded.published,
    reclaimed = folded.reclaimed + excluded.reclaimed,
    metrics = (
        SELECT jsonb_object_agg(joint.key, joint.value)
        FROM (
            SELECT each.key, sum(each.value::numeric) AS value
            FROM (
                SELECT *
                FROM jsonb_each_text(folded.metrics)
                UNION ALL
                SELECT *
                FROM jsonb_each_text(excluded.metrics)
            ) each
            GROUP BY each.key
        ) joint
    ),
    updated_at = now()
RETURNING (SELECT count(*) FROM gone)::int

-- The keeper: the totals of processes that are gone live on in one row, so that sums never fall.
WITH gone AS MATERIALIZED (DELETE FROM counters WHERE process_id IN (SELECT process_id FROM counters WHERE role <> 'folded' AND updated_at < now() - interval '1 hour' ORDER BY process_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) RETURNING *),
total AS (SELECT coalesce(sum(submitted), 0)::bigint s, coalesce(sum(claimed), 0)::bigint c, coalesce(sum(completed), 0)::bigint d, coalesce(sum(failed), 0)::bigint f, coalesce(sum(cancelled), 0)::bigint x,
    coalesce(sum(retried), 0)::bigint r, coalesce(sum(given_back), 0)::bigint g, coalesce(sum(published), 0)::bigint p, coalesce(sum(reclaimed), 0)::bigint t FROM gone HAVING count(*) > 0)
INSERT INTO counters AS o (process_id, role, node_name, submitted, claimed, completed, failed, cancelled, retried, given_back, published, reclaimed)
SELECT '00000000-0000-0000-0000-000000000000', 'folded', '', s, c, d, f, x, r, g, p, t FROM total
ON CONFLICT (process_id) DO UPDATE SET submitted = o.submitted + excluded.submitted, claimed = o.claimed + excluded.claimed, completed = o.completed + excluded.completed, failed = o.failed + excluded.failed,
    cancelled = o.cancelled + excluded.cancelled, retried = o.retried + excluded.retried, given_back = o.given_back + excluded.given_back, published = o.published + excluded.published,
    reclaimed = o.reclaimed + excluded.reclaimed, updated_at = now()
RETURNING (SELECT count(*) FROM gone)::int

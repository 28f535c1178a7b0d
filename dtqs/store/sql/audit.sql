-- Law 3, a batch of tasks in one statement, hence one snapshot: each without an outcome is in exactly one place, each with one is in none.
WITH t AS MATERIALIZED (SELECT id, outcome FROM tasks WHERE id > %(after)s::uuid ORDER BY id LIMIT %(limit)s),
held AS MATERIALIZED (SELECT u.id, count(*) AS n, count(*) FILTER (WHERE w.dead_at IS NULL AND w.id IS NOT NULL) AS live FROM leases l LEFT JOIN workers w ON w.id = l.worker_id CROSS JOIN unnest(l.task_ids) u(id) GROUP BY u.id)
SELECT t.id::text, t.outcome, (b.task_id IS NOT NULL)::int, coalesce(held.n, 0), coalesce(held.live, 0)
FROM t LEFT JOIN backlog b ON b.task_id = t.id LEFT JOIN held ON held.id = t.id ORDER BY t.id

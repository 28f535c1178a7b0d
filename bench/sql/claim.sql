-- Claim: worker row, then backlog rows in id order, then one lease.
WITH me AS MATERIALIZED (SELECT id FROM workers WHERE id = %(worker_id)s::uuid AND dead_at IS NULL FOR KEY SHARE),
l AS MATERIALIZED (
    SELECT b.task_id FROM backlog b JOIN me ON true
    WHERE b.task_id = ANY (%(ids)s::text::uuid[]) AND b.due_at <= now() AND (b.light OR %(named)s = 1) ORDER BY b.task_id FOR UPDATE OF b
),
d AS (DELETE FROM backlog b USING l WHERE b.task_id = l.task_id RETURNING b.task_id),
h AS (INSERT INTO leases (id, worker_id, task_ids) SELECT %(lease_id)s::uuid, %(worker_id)s::uuid, array_agg(task_id) FROM d HAVING count(*) > 0)
SELECT t.id::text, t.payload::text, t.attempts + 1 FROM d JOIN tasks t ON t.id = d.task_id

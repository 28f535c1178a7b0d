-- A keeper that has seen the database's clock step back, a batch in the order of ids: what was due before the step (until) stays due and is published now;
-- what is due and was put far out is looked at no later than it would have been.
WITH seen AS MATERIALIZED (
    SELECT task_id, due_at <= to_timestamp(%(until)s) AND greatest(due_at, publish_at - %(far_out)s * interval '1 s') > now() AS late
    FROM backlog WHERE task_id > %(after)s::uuid ORDER BY task_id LIMIT %(limit)s
),
l AS MATERIALIZED (SELECT b.task_id FROM backlog b JOIN seen ON seen.task_id = b.task_id WHERE seen.late ORDER BY b.task_id FOR UPDATE OF b),
u AS (
    UPDATE backlog b SET due_at = least(b.due_at, now()), publish_at = CASE WHEN b.due_at > now() THEN now() ELSE least(b.publish_at, now() + %(far_out)s * interval '1 s') END
    FROM l WHERE b.task_id = l.task_id AND b.due_at <= to_timestamp(%(until)s) RETURNING 1
)
SELECT (SELECT task_id::text FROM seen ORDER BY task_id DESC LIMIT 1), (SELECT count(*) FROM u)

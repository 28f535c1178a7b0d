-- Readings: how many wait, by priority and type, and which come next. Whatever is due is published again at the latest when its far out is over: so, by
-- the time of its next publish, all of it comes before the horizon, and what is only due beyond that after it. Each part looks at a bounded number of rows.
WITH seen AS MATERIALIZED (
    SELECT * FROM (
        SELECT task_id, task_type, priority, due_at, due_at <= now() AS due, true AS near FROM backlog
        WHERE publish_at <= now() + %(far_out)s * interval '1 s' ORDER BY publish_at LIMIT %(look)s) a
    UNION ALL
    SELECT * FROM (
        SELECT task_id, task_type, priority, due_at, false, false FROM backlog
        WHERE publish_at > now() + %(far_out)s * interval '1 s' ORDER BY publish_at LIMIT %(look_later)s) b
),
coming AS (
    SELECT task_id, due_at, due FROM (
        SELECT task_id, due_at, due, (9 - priority) * 1e10::float8 + date_part('epoch', due_at) AS rank FROM seen WHERE due ORDER BY rank LIMIT %(next)s) a
    UNION ALL
    SELECT task_id, due_at, due FROM (SELECT task_id, due_at, due FROM seen WHERE NOT due ORDER BY due_at LIMIT %(later)s) b
)
SELECT NULL, task_type, priority, NULL, NULL, due, count(*), NULL, date_part('epoch', now() - min(due_at)), near FROM seen GROUP BY task_type, priority, due, near
UNION ALL
SELECT t.id::text, t.task_type, t.priority, {utc t.created_at}, {utc c.due_at}, c.due, t.attempts, coalesce(t.tags, '{}'), NULL, NULL FROM coming c JOIN tasks t ON t.id = c.task_id
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, coalesce(sum(cardinality(task_ids)), 0), NULL, NULL, NULL FROM leases

-- Readings: how many wait, by priority and type, and which come next. Whatever is due is published again at the latest when its far out is over: so, by
-- the time of its next publish, all of it comes before the horizon, and what is only due beyond that after it. Each part looks at a bounded number of rows.
-- Where not all before the horizon was looked at, what is due with a higher priority than the first of it is looked for in the pages of the table: there is no index for it,
-- which each submit would pay for.
WITH near AS MATERIALIZED (
    SELECT task_id, task_type, priority, due_at, due_at <= now() AS due, publish_at FROM backlog
    WHERE publish_at <= now() + %(far_out)s * interval '1 s' ORDER BY publish_at LIMIT %(look)s
),
cut AS MATERIALIZED (SELECT max(publish_at) AS at FROM near HAVING count(*) >= %(look)s),
first AS MATERIALIZED (
    SELECT CASE WHEN count(*) < greatest(%(next)s, 1) THEN -1 ELSE min(priority) END AS priority
    FROM (SELECT priority FROM near WHERE due ORDER BY priority DESC LIMIT greatest(%(next)s, 1)) a
),
higher AS MATERIALIZED (
    SELECT task_id, task_type, priority, due_at FROM backlog
    WHERE (SELECT at FROM cut) IS NOT NULL AND ctid >= '(0,0)'::tid AND ctid < %(pages)s::tid AND priority > (SELECT priority FROM first)
        AND publish_at >= (SELECT at FROM cut) AND due_at <= now() AND task_id NOT IN (SELECT n.task_id FROM near n WHERE n.publish_at = (SELECT at FROM cut))
    ORDER BY task_id LIMIT %(look_higher)s
),
seen AS MATERIALIZED (
    SELECT task_id, task_type, priority, due_at, due, 'near' AS part FROM near
    UNION ALL
    SELECT task_id, task_type, priority, due_at, true, 'higher' FROM higher
    UNION ALL
    SELECT * FROM (
        SELECT task_id, task_type, priority, due_at, false, 'later' FROM backlog
        WHERE publish_at > now() + %(far_out)s * interval '1 s' ORDER BY publish_at LIMIT %(look_later)s) b
),
coming AS (
    SELECT task_id, due_at, due FROM (
        SELECT task_id, due_at, due, (9 - priority) * 1e10::float8 + date_part('epoch', due_at) AS rank FROM seen WHERE due ORDER BY rank LIMIT %(next)s) a
    UNION ALL
    SELECT task_id, due_at, due FROM (SELECT task_id, due_at, due FROM seen WHERE NOT due ORDER BY due_at LIMIT %(later)s) b
)
SELECT NULL, task_type, priority, NULL, NULL, due, count(*), NULL, date_part('epoch', now() - min(due_at)), part FROM seen GROUP BY task_type, priority, due, part
UNION ALL
SELECT t.id::text, t.task_type, t.priority, {utc t.created_at}, {utc c.due_at}, c.due, t.attempts, coalesce(t.tags, '{}'), NULL, NULL FROM coming c JOIN tasks t ON t.id = c.task_id
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, coalesce(sum(cardinality(task_ids)), 0), NULL, NULL, NULL FROM leases

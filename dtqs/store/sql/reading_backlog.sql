-- Readings: the pending tasks by priority and type, and those that come next. Each part looks at a bounded number of
-- rows. A due row is published again after `far_out` seconds at the latest. So in the order of publish times, all due
-- rows come before the horizon now + far_out, and rows that are due later follow.
-- If the look does not reach the horizon, due rows beyond it may have a higher priority than those found. `higher`
-- searches the pages of the table for them. An index for them would cost each submit.
WITH near AS MATERIALIZED (
    SELECT task_id, task_type, priority, due_at, due_at <= now() AS due, publish_at
    FROM backlog
    WHERE publish_at <= now() + %(far_out)s * interval '1 s'
    ORDER BY publish_at
    LIMIT %(look)s
),
cut AS MATERIALIZED (
    SELECT max(publish_at) AS at
    FROM near
    HAVING count(*) >= %(look)s
),
first AS MATERIALIZED (
    SELECT CASE WHEN count(*) < greatest(%(next)s, 1) THEN -1 ELSE min(priority) END AS priority
    FROM (
        SELECT priority
        FROM near
        WHERE due
        ORDER BY priority DESC
        LIMIT greatest(%(next)s, 1)
    ) highest
),
higher AS MATERIALIZED (
    SELECT task_id, task_type, priority, due_at
    FROM backlog
    WHERE (SELECT at FROM cut) IS NOT NULL
        AND ctid >= '(0,0)'::tid
        AND ctid < %(pages)s::tid
        AND priority > (SELECT priority FROM first)
        AND publish_at >= (SELECT at FROM cut)
        AND due_at <= now()
        AND task_id NOT IN (SELECT known.task_id FROM near known WHERE known.publish_at = (SELECT at FROM cut))
    ORDER BY task_id
    LIMIT %(look_higher)s
),
seen AS MATERIALIZED (
    SELECT task_id, task_type, priority, due_at, due, 'near' AS part
    FROM near
    UNION ALL
    SELECT task_id, task_type, priority, due_at, true, 'higher'
    FROM higher
    UNION ALL
    SELECT *
    FROM (
        SELECT task_id, task_type, priority, due_at, false, 'later'
        FROM backlog
        WHERE publish_at > now() + %(far_out)s * interval '1 s'
        ORDER BY publish_at
        LIMIT %(look_later)s
    ) later
),
coming AS (
    SELECT task_id, due_at, due
    FROM (
        SELECT task_id, due_at, due, (9 - priority) * 1e10::float8 + date_part('epoch', due_at) AS rank
        FROM seen
        WHERE due
        ORDER BY rank
        LIMIT %(next)s
    ) due_now
    UNION ALL
    SELECT task_id, due_at, due
    FROM (
        SELECT task_id, due_at, due
        FROM seen
        WHERE NOT due
        ORDER BY due_at
        LIMIT %(later)s
    ) due_later
)
SELECT
    NULL, task_type, priority, NULL, NULL, due, count(*), NULL, date_part('epoch', now() - min(due_at)), part
FROM seen
GROUP BY task_type, priority, due, part
UNION ALL
SELECT
    task.id::text, task.task_type, task.priority, {utc task.created_at}, {utc coming.due_at}, coming.due,
    task.attempts, coalesce(task.tags, '{}'), NULL, NULL
FROM coming
JOIN tasks task ON task.id = coming.task_id
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, coalesce(sum(cardinality(task_ids)), 0), NULL, NULL, NULL
FROM leases

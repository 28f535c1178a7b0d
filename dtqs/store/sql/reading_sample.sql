-- Metrics: the backlog by type, priority, and whether it is due: exact counts, and counts of a part of its pages.
-- A due row is published again after `far_out` seconds at the latest. So the order of publish times finds due rows also
-- before a million that are due later. Only a bounded number of them is read. Those beyond it, and rows that are due
-- later, are counted in a part of the pages: a count of a million rows would take too long. The same pages are read
-- each time, so that two scrapes differ by the tasks alone.
WITH near AS MATERIALIZED (
    SELECT task_id, task_type, priority, due_at, publish_at
    FROM backlog
    WHERE publish_at <= now() + %(far_out)s * interval '1 s'
    ORDER BY publish_at
    LIMIT %(look)s
),
cut AS MATERIALIZED (
    SELECT max(publish_at) AS at
    FROM near
    HAVING count(*) >= %(look)s
)
SELECT
    counted.task_type, counted.priority, counted.is_due, sum(counted.found)::bigint, sum(counted.sampled)::bigint,
    date_part('epoch', now() - min(counted.due_at))
FROM (
    SELECT task_type, priority, true AS is_due, due_at, 1 AS found, 0 AS sampled
    FROM near
    WHERE due_at <= now()
    UNION ALL
    SELECT task_type, priority, due_at <= now(), due_at, 0, 1
    FROM backlog TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (1)
    WHERE due_at > now()
        OR publish_at > coalesce((SELECT at FROM cut), now() + %(far_out)s * interval '1 s')
        OR publish_at = (SELECT at FROM cut)
            AND task_id NOT IN (SELECT known.task_id FROM near known WHERE known.publish_at = (SELECT at FROM cut))
) counted
GROUP BY 1, 2, 3

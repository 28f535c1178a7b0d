-- The API's /backlog: due tasks and tasks in progress by type, each counted up to a limit.
-- A due row is published again after `far_out` seconds at the latest, so later rows are not read. It looks at `look`
-- rows at most. The last of these is always in the result, without a type if it does not count: tasks may be behind it.
SELECT counted.task_type, sum(counted.due)::int, sum(counted.in_progress)::int, bool_or(counted.is_last)
FROM (
    (
        SELECT
            CASE WHEN near.is_due THEN near.task_type END AS task_type,
            near.is_due::int AS due,
            0 AS in_progress,
            near.place = %(look)s AS is_last
        FROM (
            SELECT
                task_type,
                due_at <= now()
                    AND (%(task_types)s::text[] IS NULL OR task_type = ANY (%(task_types)s::text[])) AS is_due,
                row_number() OVER (ORDER BY publish_at) AS place
            FROM backlog
            WHERE publish_at <= now() + %(far_out)s * interval '1 s'
            ORDER BY publish_at
            LIMIT %(look)s
        ) near
        WHERE near.is_due OR near.place = %(look)s
        LIMIT %(limit)s
    )
    UNION ALL
    SELECT running.task_type, 0, 1, false
    FROM (
        SELECT task.task_type
        FROM leases lease
        CROSS JOIN LATERAL unnest(lease.task_ids) AS held (id)
        JOIN tasks task ON task.id = held.id
        WHERE %(task_types)s::text[] IS NULL OR task.task_type = ANY (%(task_types)s::text[])
        LIMIT %(limit)s
    ) running
) counted
GROUP BY counted.task_type
ORDER BY counted.task_type

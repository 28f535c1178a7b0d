-- A page of running tasks, from the leases: there are few.
WITH seen AS MATERIALIZED (
    SELECT member.id AS task_id
    FROM leases lease
    CROSS JOIN unnest(lease.task_ids) member(id)
    WHERE member.id < %(after)s::uuid
    ORDER BY member.id DESC
    LIMIT %(look)s
)
SELECT seen.task_id::text, coalesce(task.matches, false), (SELECT count(*) FROM seen)
FROM seen
LEFT JOIN LATERAL (
    SELECT
        {matches} AS matches
    FROM tasks task
    WHERE task.id = seen.task_id
    OFFSET 0
) task ON true
WHERE task.matches OR seen.task_id = (SELECT task_id FROM seen ORDER BY task_id LIMIT 1)
ORDER BY seen.task_id DESC

-- A running task's progress or log row, through its lease. The order of the log is the order of its commits.
WITH mine AS MATERIALIZED (
    SELECT worker_id
    FROM leases
    WHERE id = %(lease_id)s::uuid AND %(task_id)s::uuid = ANY (task_ids)
    FOR KEY SHARE
)
INSERT INTO logs (task_id, event, attempt, worker_id, level, message, data)
SELECT %(task_id)s::uuid, %(event)s, %(attempt)s, worker_id, %(level)s, %(message)s, %(data)s::json
FROM mine
RETURNING id

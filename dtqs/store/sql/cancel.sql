-- The second, with a snapshot that sees a retry's new backlog row: those in the backlog are cancelled, the others run and get a request.
WITH k AS MATERIALIZED (SELECT task_id FROM backlog WHERE task_id = ANY (%(ids)s::text::uuid[]) ORDER BY task_id FOR UPDATE),
d AS (DELETE FROM backlog b USING k WHERE b.task_id = k.task_id RETURNING b.task_id),
c AS (
    UPDATE tasks t SET cancel_requested_at = coalesce(t.cancel_requested_at, now()),
        outcome = CASE WHEN d.task_id IS NOT NULL THEN 'cancelled' END, finished_at = CASE WHEN d.task_id IS NOT NULL THEN now() END
    FROM unnest(%(ids)s::text::uuid[]) i LEFT JOIN d ON d.task_id = i WHERE t.id = i AND t.outcome IS NULL
    RETURNING t.id, t.task_type, t.outcome, t.attempts
),
e AS (INSERT INTO failures (task_id, task_type, outcome) SELECT id, task_type, outcome FROM c WHERE outcome IS NOT NULL),
g AS (
    INSERT INTO logs (task_id, event, attempt, level, message) SELECT id, 'cancelled', attempts, 'info', 'cancelled before it ran' FROM c WHERE outcome IS NOT NULL
    RETURNING id, task_id
)
SELECT g.id, c.id::text, c.outcome FROM c LEFT JOIN g ON g.task_id = c.id

-- The broker lost its queue (older_than 0), or has none ready though rows were published longer ago: make due rows due for publishing, a batch at a time.
WITH seen AS MATERIALIZED (
    SELECT task_id, due_at <= now() AND publish_at > now() AND coalesce(published_at <= now() - %(older_than)s * interval '1 s', %(older_than)s = 0) AS lost
    FROM backlog WHERE task_id > %(after)s::uuid ORDER BY task_id LIMIT %(limit)s
),
l AS MATERIALIZED (SELECT b.task_id FROM backlog b JOIN seen ON seen.task_id = b.task_id WHERE seen.lost ORDER BY b.task_id FOR UPDATE OF b SKIP LOCKED),
u AS (UPDATE backlog b SET publish_at = now() FROM l WHERE b.task_id = l.task_id RETURNING 1)
SELECT (SELECT task_id::text FROM seen ORDER BY task_id DESC LIMIT 1), (SELECT count(*) FROM u)

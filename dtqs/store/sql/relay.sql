-- A keeper takes rows whose time has come, from behind its mark on, and moves their next time ahead; it commits before it publishes. Rarer each time.
-- It is told the first row that it has not taken, too, since whoever has that locked may give it up: the mark must not pass it.
WITH l AS MATERIALIZED (
    SELECT task_id, publish_at FROM backlog WHERE publish_at >= %(mark)s::timestamptz AND publish_at <= now() ORDER BY publish_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
),
u AS (
    UPDATE backlog b SET publish_at = now() + least(%(grace)s * 2 ^ least(b.publishes, 20), %(far_out)s) * interval '1 s', publishes = least(b.publishes + 1, 1000), published_at = now()
    FROM l WHERE b.task_id = l.task_id RETURNING b.task_id, b.task_type, b.light, b.priority, b.publish_at
)
SELECT u.task_id::text, u.task_type, u.light, u.priority, u.publish_at::text, left_over.publish_at::text
FROM (SELECT (
    SELECT b.publish_at FROM backlog b WHERE b.publish_at >= %(mark)s::timestamptz AND b.publish_at <= now() AND b.task_id NOT IN (SELECT l.task_id FROM l)
    ORDER BY b.publish_at LIMIT 1
)) left_over(publish_at) LEFT JOIN u ON true

-- A keeper takes rows whose time has come, from behind its mark on, and moves their next time ahead; it commits before it publishes. Rarer each time.
WITH l AS MATERIALIZED (
    SELECT task_id, publish_at FROM backlog WHERE publish_at >= %(mark)s::timestamptz AND publish_at <= now() ORDER BY publish_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE backlog b SET publish_at = now() + least(%(grace)s * 2 ^ least(b.publishes, 20), %(far_out)s) * interval '1 s', publishes = least(b.publishes + 1, 1000), published_at = now()
FROM l WHERE b.task_id = l.task_id RETURNING b.task_id::text, b.task_type, b.light, b.priority, b.publish_at::text, l.publish_at::text

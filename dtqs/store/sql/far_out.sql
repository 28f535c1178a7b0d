-- Who published and got the broker's confirm: no need to look at these for long, where publish_at is still the value that this publisher wrote.
WITH l AS MATERIALIZED (
    SELECT b.task_id FROM backlog b JOIN unnest(%(ids)s::text::uuid[], %(publish_ats)s::timestamptz[]) x(id, at) ON b.task_id = x.id AND b.publish_at = x.at
    ORDER BY b.task_id FOR UPDATE OF b SKIP LOCKED
)
UPDATE backlog b SET publish_at = now() + %(far_out)s * interval '1 s', published_at = now() FROM l WHERE b.task_id = l.task_id

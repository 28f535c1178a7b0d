-- A publisher, after the broker's confirm: publish these rows again only after a long time. It changes only rows whose
-- publish_at is still the value that this publisher wrote.
WITH locked AS MATERIALIZED (
    SELECT waiting.task_id
    FROM backlog waiting
    JOIN unnest(%(ids)s::text::uuid[], %(publish_ats)s::timestamptz[]) published(id, at)
        ON waiting.task_id = published.id AND waiting.publish_at = published.at
    ORDER BY waiting.task_id
    FOR UPDATE OF waiting SKIP LOCKED
)
UPDATE backlog waiting
SET publish_at = now() + %(far_out)s * interval '1 s', published_at = now()
FROM locked
WHERE waiting.task_id = locked.task_id

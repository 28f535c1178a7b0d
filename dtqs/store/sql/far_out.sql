-- A publisher, after the broker's confirm: publish these rows again only after a long time. It changes only rows whose
-- publish_at is still the value that this publisher wrote. The tasks of a commit share it: places says which it is.
WITH locked AS MATERIALIZED (
    SELECT task_id, publish_at
    FROM backlog
    WHERE task_id = ANY (%(ids)s::text::uuid[])
    ORDER BY task_id
    FOR UPDATE SKIP LOCKED
)
UPDATE backlog waiting
SET publish_at = now() + %(far_out)s * interval '1 s', published_at = now(), publishes = 0
WHERE waiting.task_id = ANY (ARRAY(
    SELECT locked.task_id
    FROM locked
    JOIN unnest(%(ids)s::text::uuid[], %(places)s::text::int[]) published(id, place) ON locked.task_id = published.id
    WHERE locked.publish_at = (%(publish_ats)s::timestamptz[])[published.place]
))

-- A publisher, after the broker's confirm: publish these rows again only after a long time. It changes only rows whose
-- publish_at is still the value that this publisher wrote. The tasks of a commit share it: places says which it is.
-- The confirm is older than this statement, by some seconds in the API: a queue may have been lost since. So the time
-- of the publish is when a relay took the row, or else when it was inserted, `grace` before publish_at.
WITH locked AS MATERIALIZED (
    SELECT task_id, publish_at
    FROM backlog
    WHERE task_id = ANY (%(ids)s::text::uuid[])
    ORDER BY task_id
    FOR UPDATE SKIP LOCKED
)
UPDATE backlog waiting
SET
    publish_at = now() + %(far_out)s * interval '1 s',
    published_at = least(
        now(),
        coalesce(waiting.published_at, waiting.publish_at - %(grace)s * interval '1 s')
    ),
    publishes = 0
WHERE waiting.task_id = ANY (ARRAY(
    SELECT locked.task_id
    FROM locked
    JOIN unnest(%(ids)s::text::uuid[], %(places)s::text::int[]) published(id, place) ON locked.task_id = published.id
    WHERE locked.publish_at = (%(publish_ats)s::timestamptz[])[published.place]
))

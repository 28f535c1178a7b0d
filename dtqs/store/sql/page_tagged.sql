-- A page of tasks with a rare tag, of any age, from the index on tags. It has no order, so all tasks with the tag
-- are read. If there are too many of them, the answer is incomplete, and the caller walks instead. The planner's
-- statistics say so of most tags: to collect millions of entries takes long, even if a few of the tasks are then read.
WITH known AS MATERIALIZED (
    SELECT EXISTS (
        SELECT 1
        FROM pg_stats
        CROSS JOIN (SELECT reltuples FROM pg_class WHERE oid = 'tasks'::regclass) size
        WHERE schemaname = current_schema()
            AND tablename = 'tasks'
            AND attname = 'tags'
            AND most_common_elem_freqs[array_position(most_common_elems::text::text[], %(tag)s::text)]
                * (1 - null_frac) * reltuples > %(most)s::int
    ) AS is_common
),
tagged AS MATERIALIZED (
    SELECT id, task_type, tags, submitted_by, outcome
    FROM tasks
    WHERE tags @> ARRAY[%(tag)s::text] AND NOT (SELECT is_common FROM known)
    LIMIT %(most)s::int
),
look AS (
    SELECT NOT known.is_common AND (SELECT count(*) FROM tagged) < %(most)s::int AS is_complete
    FROM known
)
SELECT
    look.is_complete,
    CASE WHEN look.is_complete THEN ARRAY(
        SELECT task.id::text
        FROM tagged task
        WHERE task.id < %(after)s::uuid
            AND {matches}
            AND CASE %(status)s::text
                WHEN 'pending' THEN EXISTS (SELECT 1 FROM backlog waiting WHERE waiting.task_id = task.id)
                ELSE %(status)s::text IS NULL OR task.outcome = %(status)s
            END
        ORDER BY task.id DESC
        LIMIT %(wanted)s
    ) END
FROM look

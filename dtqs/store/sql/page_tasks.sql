-- A page of all tasks, or of the completed ones, newest first. It walks the primary key from its end, and looks at a
-- bounded number of rows. It returns those that match, and the last one of a complete look.
WITH seen AS MATERIALIZED (
    SELECT
        task.id,
        {matches}
            AND (%(status)s::text IS NULL OR task.outcome = %(status)s) AS matches
    FROM tasks task
    WHERE task.id < %(after)s::uuid
    ORDER BY task.id DESC
    LIMIT %(look)s
)
SELECT id::text, coalesce(matches, false), (SELECT count(*) FROM seen)
FROM seen
WHERE matches OR id = (SELECT id FROM seen ORDER BY id LIMIT 1)
ORDER BY id DESC

-- A person's retry, in the transaction that inserts it: start the retention of the files that its payload names anew,
-- and return those that exist. A text that only looks like a file's name counts too: at worst that file is kept longer.
-- `needed` are files that the processor knows of and that may stand in its settings instead.
WITH wanted AS MATERIALIZED (
    SELECT match[1]::uuid AS id
    FROM tasks task
    CROSS JOIN LATERAL regexp_matches(
        task.payload::text, '"upload:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"', 'gi'
    ) match
    WHERE task.id = %(retry_of)s::uuid
    UNION
    SELECT unnest(%(needed)s::text::uuid[])
),
locked AS MATERIALIZED (
    SELECT file.id
    FROM files file
    WHERE file.id = ANY (ARRAY(SELECT wanted.id FROM wanted))
        AND (%(owner)s::uuid IS NULL OR file.submitted_by = %(owner)s::uuid)
    ORDER BY file.id
    FOR NO KEY UPDATE
),
updated AS (
    UPDATE files file
    SET kept_from = greatest(file.kept_from, now())
    WHERE file.id = ANY (ARRAY(SELECT id FROM locked))
)
SELECT id::text
FROM locked

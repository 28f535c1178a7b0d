-- The API: which of the files that new tasks name exist, with their SHA-256. Their retention begins no earlier than the
-- last of the tasks is due. A row is written only if that changes more than a minute. It is locked first, so that a
-- keeper's delete of the row is not overlooked.
WITH wanted AS (
    SELECT
        named_id AS id,
        greatest(now(), max(coalesce(due_at, now() + delay_seconds * interval '1 s', now()))) AS due
    FROM unnest(%(ids)s::text::uuid[], %(due_ats)s::timestamptz[], %(delays)s::float8[])
        named(named_id, due_at, delay_seconds)
    GROUP BY named_id
),
found AS MATERIALIZED (
    SELECT file.id, file.sha256, wanted.due, wanted.due > file.kept_from + interval '1 min' AS late
    FROM files file
    JOIN wanted ON wanted.id = file.id
    WHERE file.id = ANY (%(ids)s::text::uuid[])
        AND (%(owner)s::uuid IS NULL OR file.submitted_by = %(owner)s::uuid)
),
locked AS MATERIALIZED (
    SELECT file.id, file.sha256
    FROM files file
    WHERE file.id IN (SELECT found.id FROM found WHERE found.late)
    ORDER BY file.id
    FOR NO KEY UPDATE
),
updated AS (
    UPDATE files file
    SET kept_from = greatest(file.kept_from, found.due)
    FROM found
    WHERE file.id = ANY (ARRAY(SELECT id FROM locked)) AND found.id = file.id
)
SELECT id::text, sha256
FROM found
WHERE NOT late
UNION ALL
SELECT id::text, sha256
FROM locked

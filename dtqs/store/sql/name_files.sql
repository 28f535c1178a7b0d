-- The API: which of the files that new tasks name are there, and their retention begins no earlier than the last of the tasks is due.
-- A row is written only where that makes more than a minute; it is locked first, so that a keeper that deletes it is not overlooked.
WITH w AS (
    SELECT i AS id, greatest(now(), max(coalesce(a, now() + d * interval '1 s', now()))) AS due
    FROM unnest(%(ids)s::text::uuid[], %(due_ats)s::timestamptz[], %(delays)s::float8[]) x(i, a, d) GROUP BY i
),
f AS MATERIALIZED (
    SELECT f.id, w.due, w.due > f.kept_from + interval '1 min' AS late FROM files f JOIN w ON w.id = f.id
    WHERE f.id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR f.submitted_by = %(owner)s::uuid)
),
l AS MATERIALIZED (SELECT x.id FROM files x WHERE x.id IN (SELECT f.id FROM f WHERE f.late) ORDER BY x.id FOR NO KEY UPDATE),
u AS (UPDATE files x SET kept_from = greatest(x.kept_from, f.due) FROM l JOIN f ON f.id = l.id WHERE x.id = l.id)
SELECT id::text FROM f WHERE NOT late UNION ALL SELECT id::text FROM l

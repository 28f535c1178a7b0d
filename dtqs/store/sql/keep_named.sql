-- A person's retry, in the transaction that inserts it: the files that its payload names are kept as those of a new task; which of them are there.
-- Also a text that only looks like a name of one: it costs no more than that file's later end. `needed` are those that the processor knows of,
-- which may stand in its settings instead.
WITH n AS MATERIALIZED (
    SELECT m[1]::uuid AS id FROM tasks t CROSS JOIN LATERAL regexp_matches(t.payload::text, '"upload:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"', 'gi') m
    WHERE t.id = %(retry_of)s::uuid
    UNION SELECT unnest(%(needed)s::text::uuid[])
),
l AS MATERIALIZED (
    SELECT f.id FROM files f WHERE f.id = ANY (ARRAY(SELECT n.id FROM n)) AND (%(owner)s::uuid IS NULL OR f.submitted_by = %(owner)s::uuid)
    ORDER BY f.id FOR NO KEY UPDATE
),
u AS (UPDATE files x SET kept_from = greatest(x.kept_from, now()) FROM l WHERE x.id = l.id)
SELECT id::text FROM l

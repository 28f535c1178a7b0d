-- The API: the first of some tasks, whole: as many as have `most_bytes` of payloads and results together, but one at
-- least.
WITH sized AS MATERIALIZED (
    SELECT
        id,
        array_position(%(ids)s::text::uuid[], id) AS place,
        octet_length(payload::text) + coalesce(octet_length(result::text), 0) AS own_bytes
    FROM tasks
    WHERE id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR submitted_by = %(owner)s::uuid)
),
summed AS MATERIALIZED (
    SELECT id, own_bytes, sum(own_bytes) OVER (ORDER BY place) AS bytes
    FROM sized
)
{record}
FROM task_status task
WHERE task.id = ANY (ARRAY(SELECT id FROM summed WHERE bytes <= %(most_bytes)s OR bytes = own_bytes))

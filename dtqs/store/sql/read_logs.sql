-- The log of one task, in its order: a part whose texts and data have about `most_bytes`, but one row at least. It also
-- tells whether that limit, and not the number of rows, ends it.
SELECT id, event, attempt, level, message, data, at, worker_id, bytes >= %(most_bytes)s
FROM (
    SELECT
        id, event, attempt, level, message, data, {utc at} AS at, worker_id::text,
        sum(coalesce(octet_length(message), 0) + coalesce(octet_length(data::text), 0)) OVER (ORDER BY id) AS bytes,
        coalesce(octet_length(message), 0) + coalesce(octet_length(data::text), 0) AS own_bytes
    FROM (
        SELECT *
        FROM logs
        WHERE task_id = %(task_id)s::uuid AND {lived at} AND id > %(after)s
        ORDER BY id
        LIMIT %(limit)s
    ) newer
) log
WHERE bytes - own_bytes < %(most_bytes)s
ORDER BY id

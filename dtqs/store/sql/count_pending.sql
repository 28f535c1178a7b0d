-- The API, for a key with max_pending: the number of its pending tasks, counted up to a limit.
SELECT count(*)::int
FROM (
    SELECT 1
    FROM backlog
    WHERE counted_for = %(key_id)s::uuid
    LIMIT %(limit)s
) counted

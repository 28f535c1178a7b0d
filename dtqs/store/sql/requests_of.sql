-- A reclaim, for its line in the log: the requests that submitted these tasks.
SELECT DISTINCT split_part(origin, ' ', 1)
FROM tasks
WHERE id = ANY (%(ids)s::text::uuid[]) AND origin IS NOT NULL
ORDER BY 1

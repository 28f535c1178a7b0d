-- A keeper: delete the rows of expired files. The caller removes the files; a sweep removes those that remain.
DELETE FROM files
WHERE id IN (
    SELECT id
    FROM files
    WHERE kept_from < now() - %(days)s * interval '1 day'
    ORDER BY kept_from
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING id::text

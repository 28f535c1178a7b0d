-- The API: one task whole, unless its payload and result are large. PostgreSQL unpacks only values that take little
-- space in the table.
{record}
FROM task_status task
WHERE task.id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR task.submitted_by = %(owner)s::uuid)
    AND CASE
        WHEN pg_column_size(task.payload) + coalesce(pg_column_size(task.result), 0) > %(most_bytes)s THEN false
        ELSE octet_length(task.payload::text) + coalesce(octet_length(task.result::text), 0) <= %(most_bytes)s
    END

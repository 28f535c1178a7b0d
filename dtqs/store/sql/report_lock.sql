-- A report that is repeated after a lost reply, first of the statements of one transaction: it waits for the earlier
-- try, which holds the same row for key share. Only the next statement's snapshot sees the row of that try.
SELECT id::text
FROM leases
WHERE id = %(lease_id)s::uuid AND %(task_id)s::uuid = ANY (task_ids)
FOR UPDATE

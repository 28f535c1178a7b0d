-- A worker whose finish waited in vain: those of its tasks whose rows no other session has locked. The locks of this
-- statement end with it.
SELECT id::text
FROM tasks
WHERE id = ANY (%(ids)s::text::uuid[])
ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED

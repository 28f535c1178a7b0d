-- A caller that is about to confirm rows of an earlier commit, in the transaction that has found them. If the wait of
-- that commit for a synchronous standby was cut off, its rows are visible before the standby has them. Its connection
-- is lost then, and the repetition finds the rows and writes nothing. A commit without WAL does not wait. So this
-- writes an empty record.
SELECT pg_logical_emit_message(true, 'dtqs', '')::text

-- The doctor: the server's process behind a connection. A pooler gives another one to the next transaction.
SELECT pg_backend_pid()

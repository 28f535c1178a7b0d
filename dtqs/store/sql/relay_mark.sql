-- A keeper: the next mark of the relay, and the database's clock in seconds, which shows a step of the clock. The now()
-- of a transaction is older than its commit, so the mark lies some seconds back.
SELECT (now() - interval '5 s')::text, extract(epoch FROM now())::float8

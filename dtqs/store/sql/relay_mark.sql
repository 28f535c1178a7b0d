-- A keeper: a transaction's now() is older than its commit, so the mark trails. The clock itself comes along, as seconds, to see whether it was stepped.
SELECT (now() - interval '5 s')::text, extract(epoch FROM now())::float8

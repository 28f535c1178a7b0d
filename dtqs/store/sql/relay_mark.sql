-- A keeper: a transaction's now() is older than its commit, so the mark trails.
SELECT (now() - interval '5 s')::text

-- A worker, first of two statements of one transaction: lock the rows of all the limits that it needs, in the order of their keys. One that was never
-- used gets its row here: a selection that locks would not see a row that somebody else makes meanwhile.
INSERT INTO rates (key, free_at, promised_at) SELECT u.key, now(), now() FROM unnest(%(keys)s::text[]) AS u(key) ORDER BY u.key
ON CONFLICT (key) DO UPDATE SET free_at = rates.free_at

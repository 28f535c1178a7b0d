-- A worker, first of two statements of one transaction: lock the rows of all the limits that it needs, in the order of their keys. One that was never
-- used gets its row here: a selection that locks would not see a row that somebody else makes meanwhile.
INSERT INTO rates (key, free_at, promised_at, taken) SELECT u.key, now(), now(), false FROM unnest(%(keys)s::text[]) AS u(key) ORDER BY u.key
ON CONFLICT (key) DO UPDATE SET taken = false

-- A worker, second of two: with each of the limits locked, take a turn of all of them, or of none where one has no room (GCRA: free_at is when a limit
-- would be all unused again; it is never further ahead than after a turn that used all, unless the database's clock was stepped back: then so far counts). Returns when to ask again for each that has none. Those that are told are spread, a turn apart, by promised_at: else a
-- thousand tasks would come back at once for the one next turn.
WITH k AS MATERIALIZED (
    SELECT u.key, u.turn * interval '1 s' AS turn, u.slack * interval '1 s' AS slack, least(r.free_at, now() + (u.slack + u.turn) * interval '1 s') AS free_at,
        r.free_at <= now() + u.slack * interval '1 s' AS has_room
    FROM unnest(%(keys)s::text[], %(turns)s::float8[], %(slacks)s::float8[]) AS u(key, turn, slack) JOIN rates r USING (key)
), a AS (SELECT bool_and(has_room) AS taken FROM k),
t AS (
    UPDATE rates r SET
        free_at = CASE WHEN a.taken THEN greatest(k.free_at, now()) + k.turn ELSE k.free_at END,
        promised_at = CASE WHEN k.has_room THEN r.promised_at ELSE greatest(r.promised_at + k.turn, k.free_at - k.slack) END
    FROM k, a WHERE r.key = k.key RETURNING r.key, k.has_room, r.promised_at
)
SELECT key, extract(epoch FROM promised_at - now())::float8 FROM t WHERE NOT has_room

-- A worker, second of two statements of one transaction: with all its rate limits locked, take a turn of each, or of
-- none if one has no room. The algorithm is GCRA: free_at is the time when a limit is all unused again. It is never
-- further ahead than after a turn that used all, unless the database's clock stepped back; then it is cut to that.
-- Returns, for each limit without room, when to ask again. promised_at spreads these times, a turn apart: otherwise a
-- thousand tasks would all come back for the one next turn.
WITH wanted AS MATERIALIZED (
    SELECT
        asked.key,
        asked.turn * interval '1 s' AS turn,
        asked.slack * interval '1 s' AS slack,
        least(rate.free_at, now() + (asked.slack + asked.turn) * interval '1 s') AS free_at,
        rate.free_at <= now() + asked.slack * interval '1 s' AS has_room
    FROM unnest(%(keys)s::text[], %(turns)s::float8[], %(slacks)s::float8[]) AS asked(key, turn, slack)
    JOIN rates rate USING (key)
),
answer AS (SELECT bool_and(has_room) AS taken FROM wanted),
updated AS (
    UPDATE rates rate SET
        free_at = CASE WHEN answer.taken THEN greatest(wanted.free_at, now()) + wanted.turn ELSE wanted.free_at END,
        promised_at = CASE
            WHEN wanted.has_room THEN rate.promised_at
            ELSE greatest(rate.promised_at + wanted.turn, wanted.free_at - wanted.slack) END
    FROM wanted, answer
    WHERE rate.key = wanted.key
    RETURNING rate.key, wanted.has_room, rate.promised_at
)
SELECT key, extract(epoch FROM promised_at - now())::float8
FROM updated
WHERE NOT has_room

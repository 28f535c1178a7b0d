-- A worker, second of two statements of one transaction: with all its rate limits locked, take a turn of each, or of
-- none. The algorithm is GCRA: free_at is the time when a limit is all unused again. A turn that begins within
-- `patience` is taken ahead, and its worker waits for it: the tasks that a relay publishes together need turns one
-- after the other. It is no more than one turn ahead (or 0.1 s), so few workers wait. All turns begin together.
-- Returns the seconds until then, or for each limit without room, when to ask again. promised_at is the end of the line
-- of these times, a turn apart. Beyond two minutes they lie closer: the tasks ask again before, since others may be
-- cancelled, or the limit may be raised. The line is given up if the limit was not used for two turns, so nobody of it
-- came, or if free_at lies further ahead than any turn could set it: the rate was raised, or the clock stepped back.
WITH asked AS MATERIALIZED (
    SELECT
        asked.key,
        rate.free_at,
        rate.promised_at,
        asked.turn * interval '1 s' AS turn,
        asked.slack * interval '1 s' AS slack,
        least(greatest(asked.turn, 0.1), 0.5) * interval '1 s' AS patience,
        now() + (asked.slack + asked.turn + 0.5) * interval '1 s' AS latest
    FROM unnest(%(keys)s::text[], %(turns)s::float8[], %(slacks)s::float8[]) AS asked(key, turn, slack)
    JOIN rates rate USING (key)
),
wanted AS MATERIALIZED (
    SELECT
        key,
        turn,
        least(free_at, latest) AS free_at,
        greatest(least(free_at, latest) - slack, now()) AS room_at,
        least(free_at, latest) - slack <= now() + patience AS has_room,
        CASE
            WHEN free_at > latest OR free_at - slack < now() - 2 * turn - interval '2 s' THEN now()
            ELSE promised_at END AS promised_at
    FROM asked
),
answer AS (SELECT bool_and(has_room) AS taken, max(room_at) AS begins_at FROM wanted),
updated AS (
    UPDATE rates rate SET
        free_at = CASE
            WHEN answer.taken THEN greatest(wanted.free_at, answer.begins_at) + wanted.turn
            ELSE wanted.free_at END,
        promised_at = CASE
            WHEN wanted.has_room THEN wanted.promised_at
            WHEN wanted.promised_at < now() + interval '2 min'
            THEN greatest(wanted.promised_at + wanted.turn, wanted.room_at)
            ELSE wanted.promised_at + least(wanted.turn, interval '0.1 s') END
    FROM wanted, answer
    WHERE rate.key = wanted.key
    RETURNING
        rate.key,
        wanted.has_room,
        answer.taken,
        CASE WHEN answer.taken THEN answer.begins_at ELSE rate.promised_at END AS at
)
SELECT key, has_room, extract(epoch FROM at - now())::float8
FROM updated
WHERE taken OR NOT has_room

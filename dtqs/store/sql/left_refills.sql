-- A keeper: the queues whose refill was left by a process that died, and how long ago the hints were lost.
SELECT substr(name, 8), extract(epoch FROM now() - (value ->> 'cut')::timestamptz)::float8
FROM settings
WHERE name = ANY (%(names)s::text[])
    AND NOT (value ->> 'ended')::boolean
    AND now() NOT BETWEEN updated_at - interval '10 s' AND updated_at + interval '10 s'

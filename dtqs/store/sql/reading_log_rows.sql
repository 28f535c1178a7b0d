-- Readings: how many log rows there are since a time, counted up to a bound; and what time it is.
SELECT count(*), extract(epoch FROM now())::float8
FROM (SELECT 1 FROM logs WHERE at >= to_timestamp(%(since)s::float8) AND at < now() + interval '1 day' LIMIT %(look)s) a

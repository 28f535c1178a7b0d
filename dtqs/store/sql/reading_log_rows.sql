-- Readings: the number of log rows since a time, counted up to a bound, and the time of the database.
SELECT count(*), extract(epoch FROM now())::float8
FROM (
    SELECT 1
    FROM logs
    WHERE at >= to_timestamp(%(since)s::float8) AND at < now() + interval '1 day'
    LIMIT %(look)s
) counted

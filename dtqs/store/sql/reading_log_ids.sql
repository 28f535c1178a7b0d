-- Readings: the ids of the log rows of a span of time, and the time of the database. Transactions may have ended in
-- another order than they began, so a span is read again.
SELECT coalesce(array_agg(id), '{}'), extract(epoch FROM now())::float8
FROM logs
WHERE at >= to_timestamp(%(since)s::float8)
    AND at < to_timestamp(%(since)s::float8 + %(span)s::float8)
    AND {fits}

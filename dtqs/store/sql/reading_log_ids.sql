-- Readings: the ids of the log rows of a span of time, whose transactions may have ended in another order than they began; and what time it is.
SELECT coalesce(array_agg(id), '{}'), extract(epoch FROM now())::float8 FROM logs
WHERE at >= to_timestamp(%(since)s::float8) AND at < to_timestamp(%(since)s::float8 + %(span)s::float8) AND {fits}

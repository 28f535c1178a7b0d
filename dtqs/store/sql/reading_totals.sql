-- Readings: the sums of all counters, the server's clock and version, and whether the server is read-only.
SELECT
    coalesce(sum(submitted), 0)::bigint,
    coalesce(sum(claimed), 0)::bigint,
    coalesce(sum(completed), 0)::bigint,
    coalesce(sum(failed), 0)::bigint,
    coalesce(sum(cancelled), 0)::bigint,
    coalesce(sum(retried), 0)::bigint,
    coalesce(sum(given_back), 0)::bigint,
    coalesce(sum(published), 0)::bigint,
    coalesce(sum(reclaimed), 0)::bigint,
    extract(epoch FROM clock_timestamp())::float8,
    split_part(current_setting('server_version'), ' ', 1),
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'
FROM counters

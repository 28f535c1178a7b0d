-- Readings: the sums of everybody's counters, and the version of the server.
SELECT coalesce(sum(submitted), 0)::bigint, coalesce(sum(claimed), 0)::bigint, coalesce(sum(completed), 0)::bigint, coalesce(sum(failed), 0)::bigint,
    coalesce(sum(cancelled), 0)::bigint, coalesce(sum(retried), 0)::bigint, coalesce(sum(given_back), 0)::bigint, coalesce(sum(published), 0)::bigint,
    coalesce(sum(reclaimed), 0)::bigint, split_part(current_setting('server_version'), ' ', 1)
FROM counters

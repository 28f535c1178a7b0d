-- Streams: the new log rows of the watched tasks, each from its own position on.
SELECT log.id, watched.id::text, log.event, log.attempt, log.level, log.message, log.data, {utc log.at}
FROM unnest(%(ids)s::text::uuid[], %(after)s::bigint[]) watched(id, after)
CROSS JOIN LATERAL (
    SELECT log.*
    FROM logs log
    WHERE log.task_id = watched.id AND {lived log.at} AND log.id > watched.after
    ORDER BY log.id
    LIMIT %(limit)s
) log
ORDER BY log.id

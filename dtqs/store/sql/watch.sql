-- Streams: the new log rows of the watched tasks, each from its own position on. A stream passes over lines that a
-- processor logged, and these may be long: they come without text and data.
SELECT log.id, watched.id::text, log.event, log.attempt, log.level,
    CASE WHEN log.event <> 'log' THEN log.message END, CASE WHEN log.event <> 'log' THEN log.data END, {utc log.at}
FROM unnest(%(ids)s::text::uuid[], %(after)s::bigint[]) watched(id, after)
CROSS JOIN LATERAL (
    SELECT log.*
    FROM logs log
    WHERE log.task_id = watched.id AND {lived log.at} AND log.id > watched.after
    ORDER BY log.id
    LIMIT %(limit)s
) log
ORDER BY log.id

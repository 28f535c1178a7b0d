-- Streams: the tasks that have ended, whole, each with the number of log rows that its streams have not seen. 2 means
-- two or more; one of them is the row of the end. It reads tasks and not the view: an ended task is in no other table,
-- and opening the view's tables takes longer than the read. Tasks above `most_bytes` are left out.
{record},
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM logs log
            WHERE log.task_id = task.id AND {lived log.at} AND log.id > watched.after
            LIMIT 2
        ) log
    )
FROM unnest(%(ids)s::text::uuid[], %(after)s::bigint[]) watched(id, after)
JOIN (
    SELECT ended.*, ended.outcome AS status, ended.attempts AS attempt, split_part(ended.origin, ' ', 1) AS request_id
    FROM tasks ended
    WHERE ended.outcome IS NOT NULL
        AND octet_length(ended.payload::text) + coalesce(octet_length(ended.result::text), 0) <= %(most_bytes)s
) task ON task.id = watched.id

CASE WHEN task.attempt > 0 AND NOT (task.light AND task.status = 'completed') THEN (
        SELECT log.data
        FROM logs log
        WHERE log.task_id = task.id AND {lived log.at} AND log.event = 'progress' AND log.attempt = task.attempt
        ORDER BY log.id DESC
        LIMIT 1
    ) END

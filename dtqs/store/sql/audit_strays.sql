-- And the other way round, a batch of backlog rows: which of them are no task's.
WITH seen AS MATERIALIZED (SELECT task_id FROM backlog WHERE task_id > %(after)s::uuid ORDER BY task_id LIMIT %(limit)s)
SELECT (SELECT task_id::text FROM seen ORDER BY task_id DESC LIMIT 1), (SELECT count(*) FROM seen),
    ARRAY(SELECT s.task_id::text FROM seen s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.task_id) ORDER BY s.task_id)

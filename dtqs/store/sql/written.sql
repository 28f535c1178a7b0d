-- A transaction that is repeated after a lost reply and finds its work done: which log rows of the earlier try exist.
SELECT log.id
FROM unnest(%(ids)s::text::uuid[], %(log_ids)s::text::bigint[]) mine(task_id, log_id)
JOIN logs log ON log.task_id = mine.task_id AND log.id = mine.log_id
WHERE {lived log.at}

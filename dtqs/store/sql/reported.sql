-- A report that is repeated after a lost reply: the row of the earlier try. It is like this one, was written under this
-- lease, and is newer than the last row whose reply came (`after`).
SELECT log.id
FROM leases lease
JOIN logs log ON log.task_id = %(task_id)s::uuid
WHERE lease.id = %(lease_id)s::uuid
    AND {lived log.at}
    AND log.at >= lease.started_at
    AND log.id > %(after)s
    AND log.event = %(event)s
    AND log.attempt = %(attempt)s
    AND log.level = %(level)s
    AND log.message IS NOT DISTINCT FROM %(message)s::text
    AND log.data::text IS NOT DISTINCT FROM %(data)s::json::text
ORDER BY log.id
LIMIT 1

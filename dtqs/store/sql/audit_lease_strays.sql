-- The audit: task ids in leases that name no task. There are about as many leases as workers.
SELECT member.id::text
FROM leases lease
CROSS JOIN unnest(lease.task_ids) member(id)
WHERE NOT EXISTS (SELECT 1 FROM tasks task WHERE task.id = member.id)
ORDER BY member.id
LIMIT 100

-- Payloads, results, errors and log data become json. This rewrites tasks and logs: some seconds for a million rows.
-- compatible: 3
-- locks: tasks, logs, schedules

-- The column types cannot change while the view uses them. So drop the view, keep its grants, and restore both below.
SELECT set_config('dtqs.view_grants', coalesce(string_agg(format('GRANT %s%s ON task_status TO %s%s',
    a.privilege_type, held.columns, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' END), '; '), ''), true)
FROM (
    SELECT relacl, '' FROM pg_class WHERE oid = 'task_status'::regclass
    UNION ALL
    SELECT attacl, format('(%I)', attname) FROM pg_attribute WHERE attrelid = 'task_status'::regclass
) held(acl, columns), aclexplode(held.acl) a;
DROP VIEW task_status;

ALTER TABLE tasks
    ALTER payload TYPE json USING payload::json,
    ALTER result TYPE json USING result::json,
    ALTER error TYPE json USING error::json;
ALTER TABLE logs ALTER data TYPE json USING data::json;
ALTER TABLE schedules ALTER payload TYPE json USING payload::json;

CREATE VIEW task_status AS
SELECT t.id, t.task_type,
    coalesce(t.outcome, CASE WHEN b.task_id IS NULL THEN 'in_progress' ELSE 'pending' END) AS status,
    t.priority, t.attempts, t.attempts + (l.id IS NOT NULL)::int AS attempt, t.max_retries, t.payload, t.result, t.error, t.tags, t.retry_of,
    t.created_at, coalesce(b.due_at, t.due_at) AS due_at, coalesce(l.started_at, t.started_at) AS started_at, t.finished_at,
    coalesce(l.worker_id, t.worker_id) AS worker_id, t.cancel_requested_at, t.timeout_seconds, t.light, t.submitted_by
FROM tasks t
LEFT JOIN backlog b ON b.task_id = t.id
LEFT JOIN LATERAL (
    SELECT l.id, l.worker_id, l.started_at FROM leases l WHERE t.outcome IS NULL AND b.task_id IS NULL AND t.id = ANY (l.task_ids) LIMIT 1
) l ON true;
DO $$
BEGIN
    IF current_setting('dtqs.view_grants') <> '' THEN
        EXECUTE current_setting('dtqs.view_grants');
    END IF;
END $$;

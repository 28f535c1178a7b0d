-- API: where some tasks are, without what they carry: payloads and results of a hundred may be large together.
SELECT s.id::text, s.status, s.attempt, CASE WHEN s.attempt > 0 AND NOT (s.light AND s.status = 'completed') THEN (
    SELECT g.data FROM logs g WHERE g.task_id = s.id AND {lived g.at} AND g.event = 'progress' AND g.attempt = s.attempt ORDER BY g.id DESC LIMIT 1) END
FROM task_status s WHERE s.id = ANY (%(ids)s::text::uuid[]) AND (%(owner)s::uuid IS NULL OR s.submitted_by = %(owner)s::uuid)

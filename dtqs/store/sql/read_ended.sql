-- Streams: those of the tasks that have ended, whole, each with how many rows of its log its streams have not seen (2: some): one is the end's.
-- Not from the view: who has ended is in no other table, and to open those takes longer than the read.
{record},
    (SELECT count(*) FROM (SELECT FROM logs g WHERE g.task_id = s.id AND {lived g.at} AND g.id > x.after LIMIT 2) g)
FROM unnest(%(ids)s::text::uuid[], %(after)s::bigint[]) x(id, after)
JOIN (SELECT t.*, t.outcome AS status, t.attempts AS attempt FROM tasks t WHERE t.outcome IS NOT NULL) s ON s.id = x.id

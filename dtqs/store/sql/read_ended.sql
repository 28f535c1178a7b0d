-- Streams: tasks of which an event says that they have ended, whole, each with how many rows of its log its streams have not seen (2: some): one is the end's.
SELECT r.*, (SELECT count(*) FROM (SELECT FROM logs g WHERE g.task_id = x.id::uuid AND {lived g.at} AND g.id > x.after LIMIT 2) g)
FROM ({record} WHERE s.id = ANY (%(ids)s::text::uuid[])) r JOIN unnest(%(ids)s::text::text[], %(after)s::bigint[]) x(id, after) ON x.id = r.id

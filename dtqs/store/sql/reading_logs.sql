-- Readings: the newest log rows among the pages of a day from one on, oldest first.
SELECT g.id, {utc g.at}, g.task_id::text, t.task_type, g.event, g.attempt, g.level, g.message, g.data
FROM (
    SELECT * FROM {partition} WHERE ctid >= %(from)s::tid AND ctid < %(to)s::tid AND id > %(after)s AND level = ANY (%(levels)s)
        AND (%(search)s::text IS NULL OR position(lower(%(search)s) IN lower(message)) > 0 OR position(lower(%(search)s) IN lower(data::text)) > 0
            OR event = %(search)s OR task_id BETWEEN %(first_id)s::uuid AND %(last_id)s::uuid)
    ORDER BY id DESC LIMIT %(limit)s
) g LEFT JOIN tasks t ON t.id = g.task_id ORDER BY g.id

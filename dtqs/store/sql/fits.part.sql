level = ANY (%(levels)s)
AND (
    %(search)s::text IS NULL
    OR position(lower(%(search)s) IN lower(message)) > 0
    OR position(lower(%(search)s) IN lower(data::text)) > 0
    OR event = %(search)s
    OR task_id BETWEEN %(first_id)s::uuid AND %(last_id)s::uuid
)

-- A keeper: it has deleted an old queue.
UPDATE settings
SET value = value - %(queue)s::text, updated_at = now()
WHERE name = 'queues'

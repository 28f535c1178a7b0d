-- A worker that ends in good order and holds nothing.
UPDATE workers SET dead_at = now(), state = 'gone', task_id = NULL WHERE id = %(worker_id)s::uuid AND dead_at IS NULL

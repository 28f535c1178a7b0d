-- A keeper, once: the queues that it declares join those that are known already.
INSERT INTO settings (name, value)
VALUES ('queues', to_jsonb(%(queues)s::text[]))
ON CONFLICT (name) DO UPDATE SET
    value = (
        SELECT jsonb_agg(DISTINCT known.queue ORDER BY known.queue)
        FROM jsonb_array_elements_text(settings.value || excluded.value) known(queue)
    ),
    updated_at = now()

-- A process that refills a queue, each second and at the end. Without a row another process has its work.
UPDATE settings
SET value = value || jsonb_build_object('ended', %(ended)s::boolean), updated_at = now()
WHERE name = 'refill ' || %(queue)s AND value ->> 'by' = %(process_id)s::text AND value ->> 'cut' = %(cut)s::text
RETURNING 1

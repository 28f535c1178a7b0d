-- A keeper looks which of the workers that have files in the folder of temporary ones are marked dead.
SELECT id::text, dead_at IS NOT NULL FROM workers WHERE id = ANY (%(ids)s::text::uuid[])

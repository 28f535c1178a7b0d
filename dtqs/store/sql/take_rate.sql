-- A worker takes a turn of a rate limit (GCRA: free_at is when the limit would be all unused again), or is told when to ask again. Those that are
-- told are spread, a turn apart, by promised_at: else a thousand tasks would come back at once for the one next turn. Locks: its own row only.
INSERT INTO rates AS r (key, free_at, promised_at, taken) VALUES (%(key)s, now() + %(turn)s * interval '1 s', now(), true)
ON CONFLICT (key) DO UPDATE SET
    taken = r.free_at <= now() + %(slack)s * interval '1 s',
    free_at = CASE WHEN r.free_at <= now() + %(slack)s * interval '1 s' THEN greatest(r.free_at, now()) + %(turn)s * interval '1 s' ELSE r.free_at END,
    promised_at = CASE WHEN r.free_at <= now() + %(slack)s * interval '1 s' THEN r.promised_at
        ELSE greatest(r.promised_at + %(turn)s * interval '1 s', r.free_at - %(slack)s * interval '1 s') END
RETURNING CASE WHEN taken THEN 0 ELSE extract(epoch FROM promised_at - now())::float8 END

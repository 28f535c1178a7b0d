unnest(%(ids)s::text::uuid[], %(kinds)s::text[], %(values)s::text[], %(delays)s::float8[])
        named(id, kind, value, delay)

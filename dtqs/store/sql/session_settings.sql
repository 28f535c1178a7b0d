-- The doctor: this session's process, and each of the role's settings as the session has it. A leaked SET shows here.
SELECT
    pg_backend_pid(),
    wanted.name,
    current_setting(wanted.name),
    wanted.value,
    CASE unit
        WHEN 'ms' THEN setting::float8 = date_part('epoch', value::interval) * 1000
        ELSE setting = value
    END
FROM {wanted}
JOIN pg_settings AS found ON lower(found.name) = wanted.name
ORDER BY wanted.name

-- Each process, at its start and now and then: the schema's version, the oldest version of DTQS that may work on it,
-- and whether the server is read-only.
SELECT
    (SELECT value::int FROM settings WHERE name = 'schema_version'),
    (SELECT value::int FROM settings WHERE name = 'schema_compatible'),
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'

-- The doctor: the server's version, its clock, the settings of the role and of durability, and whether it is read-only.
SELECT
    current_setting('server_version'),
    current_setting('server_version_num')::int / 10000,
    extract(epoch FROM clock_timestamp())::float8,
    current_setting('enable_seqscan'),
    current_setting('jit'),
    current_setting('fsync'),
    current_setting('synchronous_commit'),
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'

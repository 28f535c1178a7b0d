-- dtqs migrate: commands that set up the sessions of its role in its database. A SET would leak through PgBouncer.
SELECT format('ALTER ROLE %%I IN DATABASE %%I SET %%I = %%L', current_user, current_database(), name, value)
FROM (VALUES
    -- On a fresh database the planner believes that tasks is tiny, prepares a sequential scan and keeps that plan while
    -- the table grows. Every statement here is one that an index serves.
    ('enable_seqscan', 'off'),
    -- a scan that must be made anyway looks dear enough to be compiled
    ('jit', 'off'),
    -- one plan for each prepared statement: to plan a read by id anew each time takes longer than the read
    ('plan_cache_mode', 'force_generic_plan'),
    ('timezone', 'UTC'),
    ('idle_in_transaction_session_timeout', '30s'),
    -- a reclaim and a cancel need a new snapshot for their second statement, whatever the server's default is
    ('default_transaction_isolation', 'read committed'),
    ('statement_timeout', %(statement_timeout)s)
) AS wanted(name, value)

(VALUES
    -- On a fresh database the planner believes that tasks is tiny, prepares a sequential scan and keeps that plan while
    -- the table grows. An index serves every statement here.
    ('enable_seqscan', 'off'),
    -- A sequential scan without an alternative then looks expensive enough to compile.
    ('jit', 'off'),
    -- One plan for each prepared statement: planning a read by id takes longer than the read.
    ('plan_cache_mode', 'force_generic_plan'),
    ('timezone', 'UTC'),
    ('idle_in_transaction_session_timeout', '30s'),
    -- The second statement of a reclaim and of a cancel needs a new snapshot, whatever the server's default is.
    ('default_transaction_isolation', 'read committed'),
    ('statement_timeout', %(statement_timeout)s)
) AS wanted(name, value)

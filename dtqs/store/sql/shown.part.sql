left(log.message, 10000),
    CASE
        WHEN octet_length(log.data::text) <= 10000 THEN log.data
        WHEN log.data IS NOT NULL THEN json_build_object('omitted', 'it is long: GET /tasks/ID/logs has it') END

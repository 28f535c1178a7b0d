-- The audit: ids that divide the tasks into parts of about equal size, by the planner's statistics. The parts are read
-- at the same time. Without statistics there is one part.
SELECT histogram_bounds::text::text[]
FROM pg_stats
WHERE schemaname = current_schema() AND tablename = 'tasks' AND attname = 'id' AND histogram_bounds IS NOT NULL

-- Vacuums of tasks and backlog pause between their pages, and do not come after inserts alone.
-- compatible: 3
-- locks: none

ALTER TABLE tasks SET (
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 2,
    autovacuum_vacuum_cost_limit = 400
);
ALTER TABLE backlog SET (
    autovacuum_vacuum_insert_threshold = -1,
    autovacuum_vacuum_cost_delay = 2,
    autovacuum_vacuum_cost_limit = 400
);

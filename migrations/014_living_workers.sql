-- Reads of living workers and prunes walk no dead ones, and prunes of folded counts only old ones.
-- compatible: 3
-- locks: workers, folded_counters

CREATE INDEX workers_living ON workers (id) WHERE dead_at IS NULL;
CREATE INDEX workers_dead_at ON workers (dead_at) WHERE dead_at IS NOT NULL;
CREATE INDEX folded_counters_folded_at ON folded_counters (folded_at);

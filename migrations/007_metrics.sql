-- Processes store their histograms and labelled counts for /metrics.
-- compatible: 3
-- locks: counters

ALTER TABLE counters ADD COLUMN metrics jsonb;

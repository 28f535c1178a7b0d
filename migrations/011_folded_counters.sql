-- Keepers keep the counts of silent processes that they folded, so that one that comes back counts once.
-- compatible: 3
-- locks: none

CREATE TABLE folded_counters (
    process_id uuid NOT NULL,
    submitted bigint NOT NULL,
    claimed bigint NOT NULL,
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    retried bigint NOT NULL,
    given_back bigint NOT NULL,
    published bigint NOT NULL,
    reclaimed bigint NOT NULL,
    metrics jsonb,
    folded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX folded_counters_process_id ON folded_counters (process_id);

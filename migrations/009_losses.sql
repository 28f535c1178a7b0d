-- Tasks count the workers that they lost with a node or heartbeat.
-- compatible: 3
-- locks: tasks

ALTER TABLE tasks ADD COLUMN losses smallint NOT NULL DEFAULT 0;

-- Workers name the task types that they do.
-- compatible: 3
-- locks: workers

ALTER TABLE workers ADD COLUMN task_types text[];

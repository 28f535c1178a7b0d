-- Workers name the queues that they consume, and all processes their routes.
-- compatible: 3
-- locks: workers, counters

ALTER TABLE workers ADD COLUMN queues text[];
ALTER TABLE counters ADD COLUMN routes text;

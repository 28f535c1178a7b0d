-- Metrics: the backlog by type, priority, and whether it is due, from a part of its pages: a count of a million rows
-- would take too long. The same pages are read each time, so that two scrapes differ by the tasks alone.
SELECT
    task_type, priority, due_at <= now(), count(*), date_part('epoch', now() - min(due_at))
FROM backlog TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (1)
GROUP BY 1, 2, 3

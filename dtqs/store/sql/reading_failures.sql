-- Readings: the tasks that failed last, of those that were submitted last among the failed: there is no index by the time of a failure, which every one would pay for.
WITH seen AS MATERIALIZED (SELECT task_id, at FROM failures WHERE outcome = 'failed' ORDER BY task_id DESC LIMIT %(look)s),
newest AS MATERIALIZED (SELECT task_id, at FROM seen ORDER BY at DESC LIMIT %(limit)s)
SELECT t.id::text, t.task_type, 'failed', {utc n.at}, t.error ->> 'message' FROM newest n JOIN tasks t ON t.id = n.task_id ORDER BY n.at DESC

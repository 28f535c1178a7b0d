-- A reclaim, second of two statements of one transaction: end the dead worker's leases, so that their tasks go on. Its
-- snapshot sees the commit of a claim that was in flight.
-- The culprit has spent its attempt and waits for the backoff like any retry. All tasks are culprits if the running one
-- is unknown, and no task is if the worker was idle. A death counts only if the worker process died alone (`blamed`): a
-- lost node or heartbeat is not the task's fault. It spends no attempt, and has a count of its own. After max_deaths or
-- max_losses the task fails. Only a reclaim counts them, and the lease keeps other sessions out, so this snapshot has
-- the newest counts. A culprit of final_types fails at once: its type has no retry after a time limit.
WITH gone AS MATERIALIZED (
    SELECT lease.id
    FROM leases lease
    JOIN workers worker ON worker.id = lease.worker_id
    WHERE lease.worker_id = %(worker_id)s::uuid AND worker.dead_at IS NOT NULL
    ORDER BY lease.id
    FOR UPDATE OF lease
),
mine AS MATERIALIZED (
    DELETE FROM leases lease
    USING gone
    WHERE lease.id = gone.id
    RETURNING lease.worker_id, lease.started_at, lease.task_ids, lease.effect
),
settlement AS MATERIALIZED (
    SELECT
        mine.worker_id,
        mine.started_at,
        member.id,
        CASE
            WHEN mine.effect = 'fail' THEN 'failed'
            WHEN %(idle)s OR member.id <> %(culprit)s::uuid THEN 'unspent'
            WHEN NOT %(blamed)s AND task.losses + 1 >= %(max_losses)s THEN 'last_loss'
            WHEN NOT %(blamed)s THEN 'lost'
            WHEN task.deaths + 1 >= %(max_deaths)s OR final.is_final THEN 'last_death'
            ELSE 'died' END AS kind,
        CASE
            WHEN mine.effect = 'fail'
            THEN replace(%(unknown)s, '[processor:TYPE]', '[processor:' || task.task_type || ']')
            WHEN %(blamed)s AND final.is_final THEN %(final_error)s
            WHEN %(blamed)s AND task.deaths + 1 >= %(max_deaths)s THEN %(last_error)s
            WHEN NOT %(blamed)s AND task.losses + 1 >= %(max_losses)s THEN %(last_loss)s
            ELSE %(error)s END AS value,
        CASE
            WHEN %(idle)s OR member.id <> %(culprit)s::uuid THEN 0
            ELSE least(%(max_seconds)s, %(base_seconds)s * 2 ^ least(task.attempts + task.losses, 64)) * random()
            END::float8 AS delay
    FROM mine
    CROSS JOIN unnest(mine.task_ids) member(id)
    CROSS JOIN LATERAL (
        SELECT task_type, attempts, deaths, losses
        FROM tasks
        WHERE tasks.id = member.id
        OFFSET 0
    ) task
    CROSS JOIN LATERAL (
        SELECT
            mine.effect IS NULL AND member.id = %(culprit)s::uuid AND task.task_type = ANY (%(final_types)s::text[])
    ) final(is_final)
    ORDER BY member.id
),
{settle}

-- The API repeats an insert whose reply was lost. It changes nothing if the first one happened: backlog rows are made
-- only for the tasks that this insert returns.
{submitted}
    ON CONFLICT (id) DO NOTHING
    {accepted}

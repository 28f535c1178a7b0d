"""The error of a context whose attempt has ended: reports of its threads must not reach a later attempt."""

from dtqs.errors import DtqsError, LeaseLost


class AttemptEnded(LeaseLost):
    """A thread has used the context of an attempt that has ended."""

    def __init__(self, task_id: str, attempt: int) -> None:
        DtqsError.__init__(
            self,
            f"attempt {attempt} of task {task_id} has ended, so its context takes no calls; "
            "let the attempt wait for its threads",
        )

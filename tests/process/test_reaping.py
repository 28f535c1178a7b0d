"""Reaping: the rest of a child's process group dies before its process id can be used again."""

import subprocess

from dtqs.supervisor.reaping import End, ended
from tests.support.helpers import eventually

LEAVES_ONE_BEHIND = "exec 3<&0; (read line <&3; echo here) & exit 3"
"""The process that stays answers one line and then ends."""


def reap_one(own: bool) -> tuple[End, str]:
    """Start a shell that ends and leaves a process in its group, and reap it.

    Return the shell's end and the answer of the process that it left.
    """
    with subprocess.Popen(
        ["sh", "-c", LEAVES_ONE_BEHIND], process_group=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        ends = eventually(
            lambda: [end for end in ended(lambda pid: own) if end.pid == shell.pid], what="the shell has ended"
        )
        answer, _ = shell.communicate(b"\n", timeout=10)
    return ends[0], answer.decode()


def test_the_process_group_of_a_child_ends_with_the_child() -> None:
    end, answer = reap_one(own=True)
    assert (end.status, end.cause) == (3, "exit status 3")
    assert end.max_rss_bytes > 100_000
    assert answer == ""


def test_a_process_of_another_parent_is_reaped_and_its_group_lives_on() -> None:
    end, answer = reap_one(own=False)
    assert end.status == 3
    assert answer == "here\n"

"""Reaping: what an own child leaves in its process group dies before its number can be another's."""

import subprocess

from dtqs.supervisor.reaping import End, ended
from tests.support.helpers import eventually

LEAVES_ONE_BEHIND = "exec 3<&0; (read line <&3; echo here) & exit 3"
"""The one that stays answers a line, and then ends."""


def reap_one(own: bool) -> tuple[End, str]:
    """Start a shell that ends and leaves a process in its group; reap it, and return its end and what the one that it left answers."""
    with subprocess.Popen(
        ["sh", "-c", LEAVES_ONE_BEHIND], process_group=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        ends = eventually(
            lambda: [end for end in ended(lambda pid: own) if end.pid == shell.pid], what="the shell's end"
        )
        answer, _ = shell.communicate(b"\n", timeout=10)
    return ends[0], answer.decode()


def test_the_group_of_an_own_child_goes_with_it() -> None:
    end, answer = reap_one(own=True)
    assert (end.status, end.cause) == (3, "exit status 3")
    assert end.max_rss_bytes > 100_000
    assert answer == ""


def test_a_stranger_is_reaped_and_not_judged() -> None:
    end, answer = reap_one(own=False)
    assert end.status == 3
    assert answer == "here\n"

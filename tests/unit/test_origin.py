"""The origin of a task: ids of requests and headers of traces, also hostile ones."""

import os

import pytest

from dtqs.origin import TRACE_STATE_CHARACTERS, is_sampled, origin, request_id, request_id_of, trace_of

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.mark.parametrize("given", ["a", "a" * 128, 'x"\\,;=<>', "5f1c-2"])
def test_a_valid_id_is_taken(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "a" * 129, "a b", "a\n", "\x00", "é", "a\x7f"])
def test_an_invalid_or_missing_id_is_replaced_by_a_new_one(given: str | None) -> None:
    made = [request_id(given) for _ in range(1000)]
    assert len({*made, given}) == 1001
    assert all(request_id(one) == one for one in made), "a made id is valid"


def test_a_forked_process_makes_other_ids() -> None:
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writer, request_id(None).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    theirs = os.read(reader, 100).decode()
    for end in (reader, writer):
        os.close(end)
    assert theirs.partition("-")[0] != request_id(None).partition("-")[0]


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (None, ""),
        ("", ""),
        ("a=1", "a=1"),
        ("a=1,\tb@c=x y ,, d_-*/=z", "a=1,b@c=x y,d_-*/=z"),
        ("a=1,B=2", ""),
        ("a=1,b", ""),
        ("a=1=2", ""),
        ("a=é", ""),
        (",".join(f"k{n}=v" for n in range(32)), ",".join(f"k{n}=v" for n in range(32))),
        (",".join(f"k{n}=v" for n in range(33)), ""),
        ("a=" + "x" * (TRACE_STATE_CHARACTERS - 2), ""),
        ("a=" + "x" * 256, "a=" + "x" * 256),
    ],
)
def test_a_valid_trace_is_kept_with_its_state(state: str | None, kept: str) -> None:
    made = origin("r-1", PARENT, state)
    assert request_id_of(made) == "r-1"
    assert trace_of(made) == {"traceparent": PARENT, "tracestate": kept}


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        PARENT.upper(),
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"{PARENT}-more",
        f"cc{PARENT[2:]}more",
        f"cc{PARENT[2:]}-{'x' * 500}",
        f"{PARENT}\n",
        f" {PARENT}",
    ],
)
def test_an_invalid_trace_is_ignored(parent: str) -> None:
    assert origin("r-1", parent, "a=1") == "r-1"


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert trace_of(origin("r", f"cc{PARENT[2:]}-what comes", None))["traceparent"] == PARENT


def test_a_task_without_an_origin_has_neither() -> None:
    assert (request_id_of(None), trace_of(None), trace_of("r-1")) == (None, {}, {})


def test_only_a_parent_that_samples_its_trace_is_sampled() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
    assert [is_sampled(f"r-1 {parent}{flags}") for flags in ("01", "03", "00", "02")] == [True, True, False, False]
    assert is_sampled(f"r-1 {parent}01 vendor=1")
    assert not is_sampled("1" * 128), "an id alone"

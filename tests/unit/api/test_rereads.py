"""The order of the readings of watched tasks: fair to keys, and each task comes."""

from dtqs.api.stream.rereads import Rereads


def watched(**counts: int) -> Rereads:
    """Let each key watch this number of tasks, named after it."""
    rereads = Rereads()
    for holder, count in counts.items():
        for number in range(count):
            rereads.add(holder, f"{holder}{number}")
    return rereads


def test_keys_with_few_tasks_have_all_of_them_read_beside_a_key_with_many() -> None:
    rereads = watched(greedy=1000, ada=10, bob=3)
    for _ in range(5):
        taken = rereads.take(50)
        assert len(taken) == 50
        assert [list(taken.values()).count(holder) for holder in ("ada", "bob", "greedy")] == [10, 3, 37]
        assert all(task_id.startswith(holder) for task_id, holder in taken.items())


def test_every_task_of_a_key_with_many_is_read_in_its_turn() -> None:
    rereads = watched(greedy=1000)
    assert len(set().union(*(rereads.take(100) for _ in range(10)))) == 1000
    assert len(rereads.take(5000)) == 1000, "none twice in a round"


def test_more_keys_than_readings_have_their_turns() -> None:
    rereads = watched(**{f"key{number}_": 1 for number in range(90)})
    assert len(set().union(*(rereads.take(30) for _ in range(3)))) == 90


def test_tasks_that_run_are_read_more_often_than_waiting_ones_and_none_is_left_out() -> None:
    rereads = watched(greedy=1000)
    for task_id, holder in rereads.take(1000).items():
        rereads.found(holder, task_id, is_running=int(task_id[6:]) < 60)
    rounds = [set(rereads.take(80)) for _ in range(47)]
    running = {f"greedy{number}" for number in range(60)}
    assert all(running <= each for each in rounds)
    assert len(set().union(*rounds)) == 1000
    rereads.found("greedy", "greedy0", is_running=False)
    rereads.found("greedy", "greedy999", is_running=True)
    assert all("greedy999" in rereads.take(90) for _ in range(5))


def test_a_task_is_read_until_its_last_stream_leaves() -> None:
    rereads = Rereads()
    for holder in ("ada", "ada", "bob"):
        rereads.add(holder, "shared")
    rereads.drop("ada", "shared")
    assert set(rereads.take(10)) == {"shared"}
    rereads.drop("ada", "shared")
    assert rereads.take(10) == {"shared": "bob"}
    rereads.found("ada", "shared", is_running=True)
    rereads.found("bob", "shared", is_running=False)
    rereads.drop("bob", "shared")
    assert rereads.take(10) == {}
    assert not rereads._keys

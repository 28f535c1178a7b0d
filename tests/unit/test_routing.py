"""Routes and pools: how they are read and checked, and which queue each hint and pool gets."""

from pathlib import Path

import pytest

from dtqs.broker.publisher import Publisher
from dtqs.cli.checks.postgresql import routes_check
from dtqs.config import Config, load, mixed_queues, queues_of, types_of, unknown_types
from dtqs.errors import ConfigError
from dtqs.routes import QUEUE, Routes
from dtqs.task import Due
from dtqs.worker.detour import UNKNOWN_SECONDS, Detour
from dtqs.worker.share import refuse_missing_cpus

TYPES = ["echo", "image", "video"]
MOVIES = "[routes]\nvideo = movies\n"


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path = folder / "dtqs.ini"
    path.write_text(text, encoding="utf-8")
    return load(path, environ or {})


def test_without_routes_there_is_one_queue() -> None:
    routes = load(None, {}).routes
    assert (routes.queues, routes.text, routes.queue_of("echo")) == ((QUEUE,), "", QUEUE)
    assert routes.carried_by(QUEUE) == ((), False), "it carries all types"
    assert Routes({"echo": QUEUE}) == routes, "a route to task_queue equals no route"


def test_a_route_gives_a_type_its_queue(tmp_path: Path) -> None:
    routes = read(tmp_path, "[routes]\nvideo = movies\nimage = movies\necho = task_queue\n").routes
    assert [routes.queue_of(name) for name in TYPES] == [QUEUE, "movies", "movies"]
    assert routes.queues == (QUEUE, "movies")
    assert routes.carried_by("movies") == (("image", "video"), True)
    assert routes.carried_by(QUEUE) == (("image", "video"), False), "all but these"
    assert routes.text == "image = movies, video = movies"


def test_the_environment_sets_a_route(tmp_path: Path) -> None:
    assert read(tmp_path, MOVIES, {"DTQS_ROUTES_VIDEO": "films"}).routes.queue_of("video") == "films"


@pytest.mark.parametrize(
    ("pool", "queues", "types"),
    [
        ("", (QUEUE, "movies"), ((), False)),
        ("task_types = video", ("movies",), (("video",), True)),
        ("task_types = video, echo", ("movies", QUEUE), (("echo", "video"), True)),
        ("queues = movies", ("movies",), (("video",), True)),
        ("queues = task_queue", (QUEUE,), (("video",), False)),
    ],
)
def test_a_pool_consumes_the_queues_of_its_types(
    tmp_path: Path, pool: str, queues: tuple[str, ...], types: tuple[tuple[str, ...], bool]
) -> None:
    config = read(tmp_path, f"{MOVIES}[pool:one]\n{pool}\n")
    assert queues_of(config.pools["one"], config.routes) == queues
    assert types_of(config.pools["one"], config.routes) == types


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[routes]\nvideo = amq.x\n", "line 2: [routes] video = 'amq.x': not a name of a queue; allowed: a letter"),
        (f"{MOVIES}[pool:one]\nqueues = movis\n", "no route leads to 'movis'; did you mean movies?"),
        (f"{MOVIES}[pool:one]\nqueues = movies\ntask_types = echo\n", "runs echo, whose hints go to task_queue"),
        ("[pool:one]\nnice = 20\n", "allowed: a whole number from 0 to 19"),
        ("[pool:one]\ncpu_affinity = 3-1\n", "'3-1' is neither a CPU's number below 1024 nor a range such as 0-3"),
        ("[pool:one]\ncpu_affinity = first\n", "'first' is neither"),
    ],
)
def test_a_wrong_route_or_pool_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert any(said in problem for problem in caught.value.problems), caught.value.problems


def test_unknown_types_are_named_with_their_place(tmp_path: Path) -> None:
    config = read(tmp_path, "[routes]\nvidio = movies\n[pool:one]\ntask_types = imago\n")
    told = list(unknown_types(config.pools, config.routes, config.raw, TYPES))
    assert "line 2: [routes] vidio: no such task type; did you mean video?" in told[0]
    assert "line 4: [pool:one] task_types: no such task type: imago; did you mean image?" in told[1]


def test_a_pool_that_runs_a_part_of_its_queue_is_told(tmp_path: Path) -> None:
    config = read(tmp_path, f"{MOVIES}[pool:one]\ntask_types = echo\n[pool:two]\ntask_types = video\n")
    (told,) = mixed_queues(config.pools, config.routes, TYPES)
    assert told.startswith("pool one runs echo alone, but its queue task_queue also carries image:")


def test_cpus_are_numbers_and_ranges(tmp_path: Path) -> None:
    pool = read(tmp_path, "[pool:one]\ncpu_affinity = 0-1, 3\n").pools["one"]
    assert (pool.cpu_affinity, pool.size(8)) == ((0, 1, 3), 3)
    lacking = read(tmp_path, "[pool:one]\ncpu_affinity = 1023\n").pools
    with pytest.raises(ConfigError, match="this machine has no CPU 1023 for DTQS"):
        refuse_missing_cpus(lacking)


class Channel:
    """A channel that takes down what it is given."""

    def __init__(self) -> None:
        self.published: list[str] = []

    def basic_publish(self, exchange: str, key: str, *_: object, **__: object) -> None:
        self.published.append(key)

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


def test_a_publisher_follows_the_routes() -> None:
    channel = Channel()
    publisher = Publisher(lambda: True, routes=Routes({"video": "movies"}))
    publisher.attach(channel)
    publisher.publish_hints([Due("a", name, False, 5, "") for name in ("echo", "video", "echo")])
    assert channel.published[-3:] == [QUEUE, "movies", QUEUE]


def test_a_hint_of_another_pool_is_published_at_once_and_later_if_it_comes_back() -> None:
    detour = Detour(["echo", "video"], lambda task_type: task_type == "video")
    assert [detour.seconds("echo", ["a"]) for _ in range(9)] == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert detour.seconds("echo", ["b"]) == 0.0, "each task counts alone"
    assert detour.seconds("video", ["c"]) > 0, "it may come back at once: this pool consumes its queue"
    assert detour.pause("echo", ["e"]) == (0.0, 0.0)
    assert detour.pause("sms", ["d"]) == (UNKNOWN_SECONDS, 60.0)


def test_processes_with_other_routes_are_named() -> None:
    here = Routes({"video": "movies"})
    assert routes_check(here, [("a", "api", here.text), ("a", "worker", here.text)]).state == "ok"
    check = routes_check(here, [("a", "api", here.text), ("b", "worker", "")])
    assert (check.state, check.found) == ("warning", "here: video = movies; worker on b: none")

"""Queues whose hints RabbitMQ does not keep: the words for people, and the values of a keeper in `counters`."""

from collections.abc import Iterable, Mapping

NAME = "=unkept"
"""The first label among the present values of a keeper: `=unkept|task_queue`."""


def words_of(queue: str) -> str:
    return f"it keeps no hints for {queue}; a quorum queue needs most of its nodes"


def to_values(queues: Iterable[str]) -> dict[str, float]:
    return {f"{NAME}|{queue}": 1.0 for queue in queues}


def from_values(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(name.partition("|")[2] for name in values if name.startswith(f"{NAME}|")))

"""Arguments of the task queue for each version of the broker."""

from typing import Any

import pytest

from dtqs.broker.topology import queue_arguments
from dtqs.config import RabbitmqSection


@pytest.mark.parametrize(
    ("properties", "has_limit"),
    [
        ({"version": "3.10.8"}, False),
        ({"version": "3.13.7"}, False),
        ({"version": "4.0.5"}, True),
        ({"version": b"10.1.0"}, True),
        ({"version": "unknown"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_the_delivery_limit_is_lifted_only_where_the_broker_has_one(
    properties: dict[str, Any] | None, has_limit: bool
) -> None:
    arguments = queue_arguments(RabbitmqSection(queue_type="quorum"), properties)
    assert arguments == {"x-queue-type": "quorum"} | ({"x-delivery-limit": -1} if has_limit else {})


def test_auto_and_classic_queues_have_priorities() -> None:
    for queue_type in ("auto", "classic"):
        arguments = queue_arguments(RabbitmqSection(queue_type=queue_type), {"version": "4.0.5"})
        assert arguments == {"x-max-priority": 10}

"""Arguments of the task queue for each version of the broker."""

from typing import Any

import pytest
from pydantic import SecretStr

from dtqs.broker.topology import parameters, queue_arguments, url_problem
from dtqs.config import RabbitmqSection
from dtqs.errors import ConfigError


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


@pytest.mark.parametrize(
    ("queue_type", "hosts", "version", "is_quorum"),
    [
        ("classic", "one,two,three", "4.0.5", False),
        ("auto", "one", "4.0.5", False),
        ("auto", "one,two", "4.0.5", False),
        ("auto", "one,two,three", "3.13.7", False),
        ("auto", "one,two,three", "4.0.5", True),
        ("auto", "one,two,three,four,five", "10.1.0", True),
        ("quorum", "one", "3.10.8", True),
    ],
)
def test_auto_is_quorum_on_a_cluster_of_a_version_with_priorities(
    queue_type: Any, hosts: str, version: str, is_quorum: bool
) -> None:
    section = RabbitmqSection(queue_type=queue_type, url=SecretStr(f"amqp://dtqs:secret@{hosts}:5672/dtqs"))
    arguments = queue_arguments(section, {"version": version})
    assert ("x-queue-type" in arguments, "x-max-priority" in arguments) == (is_quorum, not is_quorum)


def test_each_host_is_tried_first_by_some_process() -> None:
    section = RabbitmqSection(url=SecretStr("amqp://dtqs:secret@one,two,three/dtqs"))
    assert {parameters(section, "test")[0].host for _ in range(100)} == {"one", "two", "three"}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("frame_max=1000", "frame_max has a wrong value; allowed: a whole number from 4096 to 131072"),
        ("frame_max=S3cret", "frame_max has a wrong value"),
        ("channel_max=-1", "channel_max has a wrong value; allowed: a whole number from 1 to 65535"),
        ("frame_max=8192&channel_max=0", "channel_max has a wrong value"),
        ("tcp_options=S3cret", "tcp_options has a wrong value; allowed: a Python dictionary of numbers"),
        ("tcp_options={'TCP_KEEPIDLE':'S3cret'}", "tcp_options has a wrong value"),
        (f"tcp_options={300 * '('}", "tcp_options has a wrong value"),
        ("client_properties=S3cret", "client_properties has a wrong value; allowed: a Python dictionary"),
        ("ssl_options=S3cret", "ssl_options has a wrong value; allowed: a Python dictionary that names readable files"),
        ("ssl_options={'cafile':'/S3cret','password':'S3cret'}", "ssl_options has a wrong value"),
        ("frame_max=8192&frame_max=8193", "a parameter is given twice"),
    ],
)
def test_a_wrong_value_in_the_query_is_named_and_not_shown(query: str, told: str) -> None:
    section = RabbitmqSection(url=SecretStr(f"amqps://dtqs:S3cret@one,two/dtqs?{query}"))
    with pytest.raises(ConfigError) as caught:
        parameters(section, "test")
    assert told in str(caught.value)
    assert "S3cret" not in str(caught.value)


@pytest.mark.parametrize("query", ["", "?frame_max=8192&channel_max=100&locale=en_US&tcp_options={'TCP_KEEPIDLE':60}"])
def test_values_that_pika_takes_are_accepted(query: str) -> None:
    assert url_problem(f"amqp://dtqs:secret@one,two/dtqs{query}") is None

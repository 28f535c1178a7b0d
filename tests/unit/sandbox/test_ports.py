"""The choice of ports for servers that do not listen yet."""

import random

import pytest

from dtqs.sandbox.ports import free_ports, is_free


def test_a_port_is_not_chosen_again_before_its_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = free_ports(2)
    drawn = iter([first, second, first, 29_999 if is_free(29_999) else 29_998])
    monkeypatch.setattr(random, "randrange", lambda *_: next(drawn))
    assert not {first, second}.intersection(free_ports(1))

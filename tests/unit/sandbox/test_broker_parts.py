"""The RabbitMQ applications of a private broker: those that its own needs, and no plugins."""

from pathlib import Path

import pytest

from dtqs.sandbox.broker_parts import link_needed


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Return an installation with an unneeded plugin; its start script is behind a link, as on Debian."""
    needs = {
        "rabbit-3": "kernel, ra, \n rabbit_common",
        "ra-2": "stdlib,aten",
        "aten-0": "kernel",
        "rabbit_common-3": "",
        "rabbitmq_management-3": "rabbit,cowboy",
    }
    for folder, names in needs.items():
        home = tmp_path / "home/plugins" / folder / "ebin"
        home.mkdir(parents=True)
        (home / f"{folder.split('-')[0]}.app").write_text(
            f'{{application,x,[{{vsn,"1"}},\n {{applications,[{names}]}},{{mod,{{x,[]}}}}]}}.'
        )
    (tmp_path / "home/sbin").mkdir()
    (tmp_path / "home/sbin/rabbitmq-server").touch()
    (tmp_path / "rabbitmq-server").symlink_to(tmp_path / "home/sbin/rabbitmq-server")
    return tmp_path / "rabbitmq-server"


def test_only_needed_applications_are_linked(server: Path, tmp_path: Path) -> None:
    for _ in range(2):
        link_needed(server, tmp_path / "plugins")
        assert {path.name for path in (tmp_path / "plugins").iterdir()} == {
            "rabbit-3",
            "ra-2",
            "aten-0",
            "rabbit_common-3",
        }
        assert (tmp_path / "plugins/ra-2/ebin/ra.app").is_file()


def test_an_installation_of_another_layout_keeps_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    link_needed(tmp_path / "bin/rabbitmq-server", tmp_path / "plugins")
    assert not (tmp_path / "plugins").exists()

"""The start of the API: report a mistake once, load everything, and become gunicorn's master."""

import encodings.idna  # noqa: F401  sockets need it for a name; loaded here, its 1 MB is not each process's own
import json
import os
import traceback
from typing import NoReturn

from setproctitle import setproctitle

from dtqs.api.server.handover import ApiHandover
from dtqs.api.server.listening import refuse_open_listeners, refuse_taken_port
from dtqs.api.server.master import ApiMaster
from dtqs.api.server.patching import patch_the_rest
from dtqs.api.server.service import inherited_listeners, is_socket_activated
from dtqs.api.server.waiting import raise_file_limit
from dtqs.cli.drivers import refuse_unusable_addresses
from dtqs.cli.loading import load_in_time
from dtqs.cli.options import configuration_path
from dtqs.cli.starting import check_api
from dtqs.config import Config
from dtqs.errors import ConfigError, TransientError
from dtqs.store.driver.preload import preload


class CheckFailed(TransientError):
    """The process that checks the start has failed. It has printed the reason."""


def serve(config: Config, handover: ApiHandover | None) -> None:
    """Run the master until its end. Raises ConfigError, PortTaken, CheckFailed."""
    refuse_unusable_addresses(config)
    raise_file_limit()
    adopted = handover.listeners if handover is not None and handover.is_activated else ()
    refuse_open_listeners(config.api.auth, inherited_listeners() if handover is None else adopted)
    catalog = load_in_time(config)
    preload()
    path = configuration_path()
    if path is not None:
        os.environ["DTQS_CONFIG"] = str(path.resolve())
    if handover is None:
        # SIGUSR2 has started this program beside the one that listens
        if not is_socket_activated() and "GUNICORN_PID" not in os.environ:
            refuse_taken_port(config.api.host, config.api.port)
        _check_apart(config)
    master = ApiMaster(catalog, handover)
    setproctitle("dtqs: api")
    master.run()


def _check_apart(config: Config) -> None:
    """Check in a process of its own, since it opens connections: this one opens nothing before its forks."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _check_and_end(config, writer)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        problems = answer.read()
    _, status = os.waitpid(pid, 0)
    if problems:
        raise ConfigError(json.loads(problems))
    if status:
        raise CheckFailed("the API was not started, since the check of its start has failed")


def _check_and_end(config: Config, answer: int) -> NoReturn:
    status = os.EX_SOFTWARE
    try:
        patch_the_rest()
        check_api(config)
        status = os.EX_OK
    except ConfigError as error:
        os.write(answer, json.dumps(error.problems).encode())
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)

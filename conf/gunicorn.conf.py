"""gunicorn's settings for `dtqs api`: taken from DTQS's own configuration. Nothing is opened here, in the master; see dtqs/api/server/wsgi.py."""

import os
import sys

from gunicorn import util
from setproctitle import setproctitle

from dtqs.config import Config, find, load
from dtqs.errors import ConfigError
from dtqs.sink import guard


def _config() -> Config:
    try:
        return load(find())
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(os.EX_CONFIG)


# before gunicorn makes its loggers: a reader of standard error that hangs must hold up neither master nor processes
guard()
loaded = _config()
"""The configuration, checked; dtqs.api.server.master gives it to each worker process."""
_api = loaded.api

bind = f"[{_api.host}]:{_api.port}" if ":" in _api.host else f"{_api.host}:{_api.port}"
workers = _api.workers
worker_class = "dtqs.api.server.worker.ApiWorker"
worker_connections = _api.max_connections
graceful_timeout = max(1, round(_api.shutdown_seconds))
timeout = 60
# longer than the proxies before it keep theirs (nginx: 60 s), so that none meets a closed one
keepalive = 75
# a stream of a hundred tasks names them all in its URL
limit_request_line = 8190
preload_app = False
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = loaded.log.level
# gunicorn would make its own titles, and make them again on a reload
util._setproctitle = lambda title: setproctitle(f"dtqs: api {title.partition(' ')[0]}")


def post_worker_init(worker):
    worker.wsgi.start(worker)


def worker_exit(server, worker):
    stop = getattr(getattr(worker, "wsgi", None), "stop", None)
    if stop is not None:
        stop()

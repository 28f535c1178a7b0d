"""The settings of gunicorn for `dtqs api`, taken from the configuration of DTQS.

gunicorn reads this file in its master, so nothing is opened here; dtqs/api/server/wsgi.py does that in each process.
"""

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


# runs before gunicorn makes its loggers: a reader of standard error that hangs must not block master or processes
guard()
loaded = _config()
"""The checked configuration; dtqs.api.server.master passes it to each worker process."""
_api = loaded.api

bind = f"[{_api.host}]:{_api.port}" if ":" in _api.host else f"{_api.host}:{_api.port}"
workers = _api.workers
worker_class = "dtqs.api.server.worker.ApiWorker"
worker_connections = _api.max_connections
graceful_timeout = max(1, round(_api.shutdown_seconds))
timeout = 60
# longer than proxies keep idle connections (nginx: 60 s), so that no proxy reuses a closed one
keepalive = 75
# the URL of a stream names up to a hundred tasks
limit_request_line = 8190
preload_app = False
control_socket_disable = True
accesslog = None
errorlog = "-"
loglevel = loaded.log.level
# otherwise gunicorn sets its own titles, and sets them again on a reload
util._setproctitle = lambda title: setproctitle(f"dtqs: api {title.partition(' ')[0]}")


def post_worker_init(worker):
    worker.wsgi.start(worker)


def worker_exit(server, worker):
    stop = getattr(getattr(worker, "wsgi", None), "stop", None)
    if stop is not None:
        stop()

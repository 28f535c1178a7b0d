"""gunicorn's settings for `dtqs api`, from the configuration of DTQS.

gunicorn reads this file in its master, so it opens nothing; dtqs/api/server/wsgi.py does that in each process.
"""

import os
import sys
from typing import Any

from dtqs import log
from dtqs.api.server.gunicorn_private import set_process_titles
from dtqs.api.server.waiting import most_connections
from dtqs.config import Config, load
from dtqs.config_file import find
from dtqs.errors import ConfigError


def _config() -> Config:
    try:
        return load(find())
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(os.EX_CONFIG)


loaded = _config()
"""The checked configuration. dtqs.api.server.master passes it to each process."""
_api = loaded.api
# before gunicorn makes its loggers: a stuck reader of standard error must not block master or processes
log.set_up(loaded.log.level, loaded.log.format, "api", loaded.log.file)

bind = f"[{_api.host}]:{_api.port}" if ":" in _api.host else f"{_api.host}:{_api.port}"
workers = _api.workers
worker_class = "dtqs.api.server.worker.ApiWorker"
worker_connections = most_connections(_api.max_connections, loaded.postgresql.pool_size)
graceful_timeout = max(1, round(_api.shutdown_seconds))
timeout = 60
# longer than proxies keep idle connections (nginx: 60 s), so no proxy reuses a closed one
keepalive = 75
# the URL of a stream names up to a hundred tasks
limit_request_line = 8190
preload_app = False
control_socket_disable = True
accesslog = "-" if _api.access_log else None
logger_class = "dtqs.api.server.gunicorn_log.ApiLog"
errorlog = "-"
loglevel = loaded.log.level
set_process_titles()


def post_worker_init(worker: Any) -> None:
    worker.wsgi.start(worker)


def worker_exit(server: Any, worker: Any) -> None:
    stop = getattr(getattr(worker, "wsgi", None), "stop", None)
    if stop is not None:
        stop()

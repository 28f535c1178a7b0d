"""gunicorn's own lines, in the format of this process: errors, and with `access_log` each answered request."""

import logging
from typing import Any

from gunicorn.glogging import Logger


class ApiLog(Logger):  # type: ignore[misc]
    """Has no handlers: the root logger writes the lines. conf/gunicorn.conf.py sets that one up."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for each in (self.error_log, self.access_log):
            each.handlers[:] = []
            each.propagate = True
            each.setLevel(logging.NOTSET)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Log an answered request. Its query may hold a ticket, and is left out."""
        if self.cfg.accesslog is None:
            return
        fields = {
            "method": req.method,
            "path": req.path,
            "status": resp.status_code,
            "size_bytes": getattr(resp, "sent", None),
            "client": environ.get("REMOTE_ADDR"),
            "seconds": round(request_time.total_seconds(), 6),
        }
        self.access_log.info("request", extra=fields)

"""GET /metrics: the whole system for Prometheus, the same from each API process. It needs the scope `metrics`."""

import falcon

from dtqs.api.access.auth import Auth
from dtqs.api.http.query import refuse_parameters
from dtqs.api.http.refusal import RETRY_AFTER_SECONDS
from dtqs.metrics.page import Crowded, MetricsPage


class Metrics:
    def __init__(self, auth: Auth, page: MetricsPage) -> None:
        self._auth, self._page = auth, page

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._auth.require(req, "metrics")
        refuse_parameters(req)
        try:
            text, media_type = self._page.text(req.get_header("Accept") or "")
        except Crowded:
            raise falcon.HTTPServiceUnavailable(
                description="too many scrapes wait for one another; scrape less often",
                retry_after=int(RETRY_AFTER_SECONDS),
            ) from None
        resp.content_type, resp.data = media_type, text

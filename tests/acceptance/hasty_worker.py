"""gunicorn's worker in tests of slow clients: it waits for a request's head for a moment only.

gunicorn's master loads it, so it must not import what gevent patches later.
"""

from dtqs.api.server.worker import ApiWorker

HEAD_SECONDS = 0.5


class HastyWorker(ApiWorker):
    head_seconds = HEAD_SECONDS

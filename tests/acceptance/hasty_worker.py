"""gunicorn's worker for tests of slow clients: it waits only half a second for a request's head.

gunicorn's master loads it, so it must not import what gevent patches later.
"""

from dtqs.api.server.worker import ApiWorker

HEAD_SECONDS = 0.5


class HastyWorker(ApiWorker):
    head_seconds = HEAD_SECONDS

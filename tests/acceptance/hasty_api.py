"""The API for tests of slow clients, as gunicorn loads it: it waits only half a second for a client."""

from dtqs.api.server.wsgi import Service

CLIENT_SECONDS = 0.5

application = Service(CLIENT_SECONDS)

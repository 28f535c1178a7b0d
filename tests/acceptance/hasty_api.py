"""What gunicorn loads in tests of slow clients: the API, but it waits for a client for a moment only."""

from dtqs.api.server.wsgi import Service

CLIENT_SECONDS = 0.5

application = Service(CLIENT_SECONDS)

"""The HTTP API: Falcon under gunicorn's gevent worker. It stores and reads tasks, publishes hints, streams events."""

"""The API as a server: gunicorn's master and worker, and the application."""

"""The worker: a child process that consumes hints, claims tasks, runs them one by one, and writes their outcomes."""

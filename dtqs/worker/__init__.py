"""The worker: a child process that consumes hints, claims tasks, runs them one after the other and writes their outcomes."""

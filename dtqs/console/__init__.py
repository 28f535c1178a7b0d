"""The console: the system on a terminal. Pure functions make lines of styled text of a snapshot; one thread reads, one draws."""

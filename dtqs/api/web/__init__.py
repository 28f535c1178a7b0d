"""The dashboard: pages for people with a browser, made of static modules that use the same HTTP API as everybody else."""

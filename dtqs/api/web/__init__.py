"""The dashboard: web pages made of static modules that use the public HTTP API."""

"""The built-in processors, and the catalog of all task types."""

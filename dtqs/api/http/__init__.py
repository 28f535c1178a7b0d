"""HTTP: bodies, queries, headers, and errors as problem documents."""

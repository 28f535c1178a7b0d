"""HTTP as this API speaks it: bodies, queries, headers, and errors as problem documents."""

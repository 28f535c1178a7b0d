"""PostgreSQL through psycopg: connections, statements, schema. No other package calls the driver."""

"""PostgreSQL through psycopg: connections, statements and schema. No other package calls the driver."""

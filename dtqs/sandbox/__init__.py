"""Private PostgreSQL and RabbitMQ servers and the whole stack on them, for `dtqs up` and for tests."""

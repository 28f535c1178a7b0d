"""The private PostgreSQL and RabbitMQ, the whole stack on them, and its demonstration: what `dtqs up` and the tests run."""

"""DTQS: a distributed task queue on PostgreSQL and RabbitMQ. What a processor's author imports is here."""

__version__ = "0.1.0"

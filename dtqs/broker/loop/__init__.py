"""RabbitMQ through pika: one connection and the loop that serves it."""

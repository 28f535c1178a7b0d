"""Fixtures of the containers' tests, which only bin/test-image runs."""

from tests.support.fix_servers import amqp_url, new_dsn, postgres, rabbitmq, servers_dir, vhosts

__all__ = ["amqp_url", "new_dsn", "postgres", "rabbitmq", "servers_dir", "vhosts"]

"""The drivers' own check of the configuration. The models cannot do it: the API loads the drivers after its patches."""

from dtqs.broker.topology import url_problem
from dtqs.config import Config
from dtqs.errors import ConfigError
from dtqs.store.driver.dsn import dsn_problem


def refuse_unusable_addresses(config: Config) -> None:
    """Refuse a DSN or a URL that the driver cannot read. Raises ConfigError."""
    found = {
        ("postgresql", "dsn"): dsn_problem(config.postgresql.dsn.get_secret_value()),
        ("rabbitmq", "url"): url_problem(config.rabbitmq.url.get_secret_value()),
    }
    if problems := [f"{config.where(*key)}: {problem}" for key, problem in found.items() if problem]:
        raise ConfigError(problems)

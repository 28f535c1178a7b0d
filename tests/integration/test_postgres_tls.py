"""TLS to PostgreSQL with an authority and certificates of one's own, on either side."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg import sql
from pydantic import SecretStr

from dtqs.config import LeaseSection, PostgresqlSection
from dtqs.deadline import Deadline
from dtqs.errors import StoreUnavailable
from dtqs.sandbox.child import Account
from dtqs.sandbox.ports import free_ports
from dtqs.sandbox.postgres import ROLE, PrivatePostgres
from dtqs.store import Store
from dtqs.store.checkup import NotLetIn, reach
from dtqs.store.driver.schema import migrate
from tests.support.certificates import two_authorities, write_certificate

RULES = f"hostssl all {ROLE} 127.0.0.1/32 cert\n"
"""The client's certificate is its login, so it must name the role. There is no rule for connections without TLS."""

Section = Callable[..., PostgresqlSection]


@pytest.fixture(scope="module")
def certificates(servers_dir: Path) -> Path:
    """A folder with ca.pem, server.pem, client.pem, stranger.pem and their keys, and other.pem of another authority."""
    folder = servers_dir / "postgresql-certificates"
    folder.mkdir()
    authority = two_authorities(folder)
    write_certificate(folder, "server", authority.issue_cert("127.0.0.1"), Account.choose("postgres"))
    write_certificate(folder, "client", authority.issue_cert(common_name=ROLE))
    write_certificate(folder, "stranger", authority.issue_cert(common_name="stranger"))
    (folder / "hba.conf").write_text(RULES, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def own_postgres(servers_dir: Path, certificates: Path) -> Iterator[PrivatePostgres]:
    """A PostgreSQL that takes only TLS, and only clients with a certificate."""
    files = {"ssl_ca_file": "ca.pem", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key"}
    settings = {"ssl": "on", "hba_file": "hba.conf", **files}
    settings = {key: value if key == "ssl" else str(certificates / value) for key, value in settings.items()}
    made = PrivatePostgres(servers_dir / "postgresql-tls", free_ports(1)[0], settings=settings)
    try:
        made.start()
        made.wait_ready(Deadline(60))
        yield made
    finally:
        made.stop()


@pytest.fixture
def section(own_postgres: PrivatePostgres, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Section:
    """Make a section of the configuration whose DSN checks the server's certificate.

    The variables of OpenSSL would name authorities that a container does not have.
    """
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)

    def make(authority: str = "ca", client: str | None = "client", host: str = "127.0.0.1") -> PostgresqlSection:
        files = f"sslrootcert={certificates}/{authority}.pem"
        # without these two, libpq would look into the home folder
        files += f"&sslcert={certificates}/{client or 'none'}.pem&sslkey={certificates}/{client or 'none'}.key"
        dsn = own_postgres.dsn.replace("@127.0.0.1:", f"@{host}:")
        return PostgresqlSection(dsn=SecretStr(f"{dsn}?sslmode=verify-full&{files}"), connect_timeout_seconds=5)

    return make


def test_the_store_works_over_tls_with_a_certificate_on_either_side(section: Section) -> None:
    migrate(section())
    store = Store(section(), LeaseSection(), 1, "the test's store")
    store.start()
    try:
        assert store.database.schema_refusal() is None
        query = sql.SQL("SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = {}").format(sql.SQL("pg_backend_pid()"))
        ((is_encrypted, client),) = store.database.select(query, {})
    finally:
        store.stop()
    assert (is_encrypted, f"CN={ROLE}" in client) == (True, True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"authority": "other"}, "certificate verify failed"),
        ({"host": "localhost"}, 'server certificate for "127.0.0.1" does not match host name "localhost"'),
        ({"client": None}, "connection requires a valid client certificate"),
        ({"client": "stranger"}, f'certificate authentication failed for user "{ROLE}"'),
    ],
    ids=["another authority", "another host", "no client certificate", "the certificate of another role"],
)
def test_a_wrong_certificate_is_refused_and_named(section: Section, wrong: dict[str, str], message: str) -> None:
    with pytest.raises(StoreUnavailable, match=message):
        reach(section(**wrong), "the test")


def test_a_connection_without_tls_is_refused(section: Section) -> None:
    plain = section().dsn.get_secret_value().replace("sslmode=verify-full", "sslmode=disable")
    with pytest.raises(NotLetIn, match="no encryption"):
        reach(PostgresqlSection(dsn=SecretStr(plain), connect_timeout_seconds=5), "the test")

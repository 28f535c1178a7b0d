"""Packaging. The build of a wheel copies schema, migrations and configuration into dtqs/_data."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIGRATIONS = sorted(f"migrations/{path.name}" for path in (ROOT / "migrations").glob("*.sql"))
RESOURCES = ("schema.sql", *MIGRATIONS, "conf/dtqs.ini", "conf/gunicorn.conf.py")
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "dtqs/__init__.py").read_text(encoding="utf-8"))


class BuildWithResources(build_py):
    """Copy the resources into the package, where dtqs.resources finds them."""

    def run(self) -> None:
        super().run()
        for name in RESOURCES if not self.editable_mode else ():
            target = Path(self.build_lib, "dtqs", "_data", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)


setup(
    name="dtqs",
    version=VERSION[1] if VERSION else "0",
    description="A task queue: PostgreSQL stores every task, RabbitMQ distributes them, worker processes run them",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["dtqs", "dtqs.*"]),
    package_data={"dtqs": ["py.typed", "store/sql/*.sql", "masking.json", "api/web/static/*"]},
    install_requires=[
        "click",
        "dkimpy",
        "falcon>=4",
        "ffmpeg-python",
        "gevent",
        "gunicorn>=23",
        "httpcore>=1",
        "httpx",
        "idna",
        "jinja2",
        "npyscreen",
        "orjson",
        "packaging",  # gunicorn's gevent worker needs it and does not declare it
        "pi-heif>=1",  # pillow-heif without its encoder, which has the GPL
        "phonenumberslite",  # phonenumbers without its data of places, carriers and time zones
        "pika>=1.3",
        "pillow>=11",
        "prometheus-client",
        "psycopg-pool>=3.2",
        "psycopg[binary]>=3.2",
        "pydantic>=2",
        "rich",
        "setproctitle",
        "smpplib",
        "tenacity",
    ],
    extras_require={
        "media": ["numpy>=2", "pylibjxl>=0.5"],  # JPEG XL, HDR, TIFFs with more than 8 bits: imported with the first
        "s3": ["botocore"],  # files in object storage: credentials and signatures
        "otel": ["opentelemetry-exporter-otlp-proto-http>=1.30", "opentelemetry-sdk>=1.30"],  # traces
        "test": [
            "aiosmtpd",
            "botocore",
            "flask",
            "flask-cors",
            "hypothesis",
            "moto",
            "mypy",
            "numpy",
            "opentelemetry-exporter-otlp-proto-http",
            "opentelemetry-sdk",
            "promql-parser",  # parses the queries of docs/monitoring
            "pylibjxl",
            "pytest",
            "pytest-xdist",
            "pyyaml",
            "ruff",
            "schemathesis",
            "setuptools",  # a test builds a package
            "trustme",
        ],
    },
    entry_points={"console_scripts": ["dtqs = dtqs.__main__:run"]},
    cmdclass={"build_py": BuildWithResources},
)

"""A Celery application with one task, for bench/memory.py."""

import os

from celery import Celery

app = Celery("peer_celery", broker=os.environ["BENCH_AMQP"])


@app.task
def echo(text: str) -> str:
    return text

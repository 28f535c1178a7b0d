"""A Dramatiq application with one actor, for bench/memory.py."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

dramatiq.set_broker(RabbitmqBroker(url=os.environ["BENCH_AMQP"]))


@dramatiq.actor
def echo(text: str) -> None:
    del text

"""RabbitMQ: the only code that talks to it. A process opens its links after the fork: WorkerLink, KeeperLink, or ApiLink (under gevent)."""

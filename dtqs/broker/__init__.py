"""RabbitMQ: the only code that talks to it. A process opens its link after the fork: WorkerLink, KeeperLink, or ApiLink
under gevent. Commands and readings use OperatorLink and LookLink.
"""

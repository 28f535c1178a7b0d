"""Fixtures of the floor of real forks and signals."""

from tests.support.fix_supervisor import start_node

__all__ = ["start_node"]

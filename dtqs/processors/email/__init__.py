"""The task type `email`. Each step is a module: payload, templates, message, signature, then smtp or folder."""

from dtqs.processors.email.processor import EmailProcessor

__all__ = ["EmailProcessor"]

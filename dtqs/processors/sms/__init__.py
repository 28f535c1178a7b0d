"""The task type `sms`: one text to one number. Each provider is a module: twilio, smpp, http (any gateway) and sink."""

from dtqs.processors.sms.processor import SmsProcessor

__all__ = ["SmsProcessor"]

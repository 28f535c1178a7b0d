"""The task type `sms`: one text to one number, through twilio, SMPP, a gateway's HTTP request, or into a file. Each provider is a module."""

from dtqs.processors.sms.processor import SmsProcessor

__all__ = ["SmsProcessor"]

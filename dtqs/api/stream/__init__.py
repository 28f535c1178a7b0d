"""Streams of events (Server-Sent Events)."""

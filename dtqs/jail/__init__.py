"""Holds processes that read hostile bytes: ffmpeg, ffprobe and the image decoder. The door is `Jail`; each other module knows one part of Linux."""

from dtqs.jail.jail import Jail, Mode, enter
from dtqs.jail.kernel import Offer, offer
from dtqs.jail.places import exposed

__all__ = ["Jail", "Mode", "Offer", "enter", "exposed", "offer"]

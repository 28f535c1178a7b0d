"""Confines processes that read hostile bytes: ffmpeg, ffprobe and the image decoder. Callers use `Jail`."""

from dtqs.jail.jail import Jail, Mode, enter
from dtqs.jail.kernel import Offer, offer
from dtqs.jail.places import exposed

__all__ = ["Jail", "Mode", "Offer", "enter", "exposed", "offer"]

"""The console shows the system on a terminal. Pure functions turn a snapshot into lines of styled text.

One thread reads the snapshot, another draws it.
"""

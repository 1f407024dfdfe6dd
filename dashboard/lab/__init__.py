"""The lab: kills a part of this very system on purpose and shows how it recovers.

It exists only where ``GANGLION_LAB=1``, which ``bin/up`` sets for the processes that it starts on this machine.
"""

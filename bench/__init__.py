"""``bin/bench``: measures Ganglion, a central orchestrator and others on the same work, side by side.

Everything runs on this machine, in a temporary folder, as ``bin/up`` composes it: same code, same settings.
"""

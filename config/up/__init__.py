"""``bin/up``: everything on one machine under one supervisor. The package needs no more than it starts.

In order: options → checks → preparation → supervisor (which runs children) → banner; and on a signal the
children stop in the order in which work flows, the server last.
"""

"""The Django project: settings, routes, the servers' entry points and the supervisor of ``bin/up``."""

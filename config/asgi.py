"""The web process: pages and API over HTTP, live updates over WebSocket from the same origin only."""

import django

from config.start import read_settings

read_settings()
django.setup(set_prefix=False)

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

from config.body_limit import BodyLimit  # noqa: E402
from config.origin import SameOrigin  # noqa: E402
from config.page_handler import PageHandler  # noqa: E402
from coordination import catalog  # noqa: E402
from coordination.config import current  # noqa: E402
from dashboard.urls import websocket_urlpatterns  # noqa: E402

catalog.discover()

# what is a little too large is still told in words by the page that takes it
LARGEST_BODY = 2 * current().document_bytes + current().payload_bytes + 1_048_576

application = ProtocolTypeRouter(
    {
        "http": BodyLimit(PageHandler(), LARGEST_BODY),
        "websocket": SameOrigin(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)

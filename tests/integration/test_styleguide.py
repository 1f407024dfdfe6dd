"""The page of the console's parts is for those who develop it."""

from __future__ import annotations

import pytest
from django.test import Client, RequestFactory

from coordination.config import Config
from dashboard import accounts
from dashboard.views.styleguide import styleguide

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def test_it_shows_every_state_in_both_themes_and_only_while_developing(config: Config) -> None:
    admin = accounts.ensure_admin()
    client = Client()
    client.force_login(admin, "django.contrib.auth.backends.ModelBackend")
    assert client.get("/styleguide/").status_code == 404
    request = RequestFactory().get("/styleguide/")
    request.user = admin
    shown = styleguide(request).content.decode()
    assert shown.count("Needs a human") >= 2
    assert 'class="sample" data-theme="dark"' in shown and 'class="sample" data-theme="light"' in shown

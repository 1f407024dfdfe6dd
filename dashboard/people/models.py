"""Where people are signed in, and what they prefer."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext as _


class SignIn(models.Model):
    """One session of one person; it ends with the session of the same key."""

    session_key = models.CharField(max_length=40, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins")
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)
    browser = models.CharField(max_length=120, blank=True)  # in words

    class Meta:
        indexes = [models.Index(fields=["user", "seen_at"], name="sign_in_user")]

    def __str__(self) -> str:
        return f"{self.user} from {self.address}"

    @property
    def browser_said(self) -> str:
        """The browser in the reader's language."""
        browser, between, system = self.browser.partition(" on ")
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system} if between else browser


class Preference(models.Model):
    """What one person chose for all browsers of theirs."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="preference"
    )
    language = models.CharField(max_length=8, blank=True)  # empty follows the browser

    def __str__(self) -> str:
        return f"{self.user}: {self.language or 'as the browser'}"

"""What pages need to be spoken in several languages: the choice of one, and the words of scripts."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.utils.html import json_script
from django.utils.safestring import SafeString

from dashboard.language import chosen
from dashboard.views.frame import script_words as words_of_scripts

register = template.Library()


@register.simple_tag(takes_context=True)
def console_languages(context: template.Context) -> dict[str, Any]:
    """The languages of the console by their own names, and the one that the reader has chosen, if any."""
    request = context.get("request")
    return {"languages": settings.LANGUAGES, "chosen": chosen(request) if request is not None else ""}


@register.simple_tag
def script_words() -> SafeString:
    """The words that the page's scripts say, for them to read."""
    return json_script(words_of_scripts(), "words")

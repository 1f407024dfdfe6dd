"""Drawings as SVG made on the server: attributes and classes only, so that a strict CSP lets them through."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.html import escape


def sparkline(values: Sequence[float], tone: str = "", label: str = "", width: int = 200, height: int = 32) -> str:
    """The course of the values as a line over a faint area; a flat line when there is nothing."""
    tone_class = f" tone-{escape(tone)}" if tone else ""
    head = (
        f'<svg class="spark{tone_class}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'role="img" aria-label="{escape(label or "course over time")}">'
    )
    if len(values) < 2:
        return f'{head}<path class="line" d="M0 {height - 2}H{width}"/></svg>'
    top = max(values) or 1.0
    step = width / (len(values) - 1)
    points = [f"{i * step:.1f} {height - 2 - (value / top) * (height - 5):.1f}" for i, value in enumerate(values)]
    line = "M" + "L".join(points)
    return f'{head}<path class="area" d="{line}L{width} {height}L0 {height}Z"/><path class="line" d="{line}"/></svg>'

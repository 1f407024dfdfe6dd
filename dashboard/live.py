"""Tells open pages that something changed; they re-read and render, so a lost message costs only time.

Topics: ``overview``, ``workflows``, ``workflow.<id>``, ``escalations``, ``escalation.<id>``, ``agents``,
``coordinators``, ``audit``. A message never holds data of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import time
from collections.abc import Iterable
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from coordination.connection import Connection

logger = logging.getLogger(__name__)

PATIENCE_S = 2.0  # an action does not wait longer for a server that stands still
GENERAL_TOPICS = ("overview", "workflows", "escalations", "agents", "coordinators", "audit")
_VALID = re.compile(r"[A-Za-z0-9_.\-]{1,90}")


def group(topic: str) -> str:
    """The name of a topic's Channels group; every topic has exactly one."""
    if _VALID.fullmatch(topic):
        return topic
    return f"{topic.partition('.')[0]}.-{hashlib.sha256(topic.encode()).hexdigest()[:40]}"


def message(topic: str) -> dict[str, Any]:
    """What a group receives; ``seq`` only grows."""
    return {"type": "changed", "topic": topic, "seq": time.time_ns() // 1_000}


async def publish_async(topics: Iterable[str]) -> None:
    """Tell every page that watches one of the topics; never raises, because pages also re-read by themselves."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            for topic in sorted(set(topics)):
                await layer.group_send(group(topic), message(topic))
    except Exception as error:
        logger.warning("live pages were not told of a change: %s", str(error) or type(error).__name__)


def publish(topics: Iterable[str]) -> None:
    """``publish_async`` for synchronous code."""
    async_to_sync(publish_async)(list(topics))


def publish_on_commit(*topics: str) -> None:
    """Publish once the present transaction is committed; at once when there is none."""
    transaction.on_commit(lambda: publish(topics), robust=True)


async def watched(connection: Connection) -> set[str] | None:
    """The groups that some page listens to, or nothing when that cannot be told: then tell all.

    At thousands of workflows a second almost none is being looked at.
    """
    layer = get_channel_layer()
    loop_layer = getattr(layer, "_get_layer", None)
    if loop_layer is None or os.environ.get("GANGLION_CHANNELS_URL"):
        return None
    prefix = loop_layer()._get_group_channel_name("")
    pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
    names: list[bytes] = await connection.call("PUBSUB", "CHANNELS", pattern)
    return {name.decode().removeprefix(prefix) for name in names}

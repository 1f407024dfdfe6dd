"""Rate limits: so many calls a minute for each token or person, counted in the shared cache."""

from __future__ import annotations

import logging
import time

from django.core.cache import cache
from redis.exceptions import RedisError

from coordination.errors import TryAgain

logger = logging.getLogger(__name__)

CALLS_PER_MINUTE = 6_000
FAILURES_PER_MINUTE = 30  # calls with a wrong token, from one address


class TooManyCalls(TryAgain):
    """Too many calls in this minute."""

    code = "too_many_calls"


def check(who: str, limit: int = CALLS_PER_MINUTE) -> None:
    """Count one call.

    Raises:
        TooManyCalls: The limit for this minute is used up; says when the next begins.
    """
    now = time.time()
    key = f"api:{who}:{int(now // 60)}"
    try:
        cache.add(key, 0, 90)
        count = cache.incr(key)
    except (RedisError, OSError, ValueError) as error:
        logger.debug("calls are not counted: %s", error)  # what the call itself needs will say what is wrong
        return
    if count > limit:
        wait_s = 60 - now % 60
        raise TooManyCalls(f"More than {limit:,} calls in a minute. Try again in {wait_s:.0f} s.", retry_after_s=wait_s)

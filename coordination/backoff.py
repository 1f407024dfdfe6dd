"""How long a step waits between its attempts."""

from __future__ import annotations

import random


def backoff_ms(workflow_id: str, step: str, number: int, base_s: float, most_s: float) -> int:
    """Exponential backoff with 25 % jitter; the same for the same attempt, wherever it is computed.

    Args:
        workflow_id: Seeds the jitter.
        step: Seeds the jitter.
        number: Attempts of this round that have failed, from 1.
        base_s: Delay after the first.
        most_s: Cap.
    """
    delay = min(base_s * 2 ** (number - 1), most_s)
    return int(delay * random.Random(f"{workflow_id}/{step}/{number}").uniform(0.75, 1.25) * 1000)

"""Which key a command goes by, and how a read of many streams is split."""

from __future__ import annotations

from typing import Any

import pytest

from coordination.cluster import key_of, slot_of, split_read
from coordination.keys import Keys


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), "a"),
        (("PING",), None),
        (("TIME",), None),
        (("INFO", "memory"), None),
        (("EVALSHA", "sha", 2, "a", "b", "x"), "a"),
        (("EVAL", "return 1", 0), None),
        (("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "a", ">"), "a"),
        (("XREAD", "BLOCK", 10, "STREAMS", "a", "0"), "a"),
        (("XGROUP", "CREATE", "a", "g", "0", "MKSTREAM"), "a"),
        (("XINFO", "GROUPS", "a"), "a"),
        (("XADD", "a", "*", "f", "v"), "a"),
    ],
)
def test_the_key_of_a_command(command: tuple[Any, ...], key: str | None) -> None:
    assert key_of(command) == key


def test_a_read_is_split_by_slot() -> None:
    command = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 10, "STREAMS", "{a}1", "{b}1", "{a}2", ">", "7", "8")
    reader, head, parts = split_read(command)
    assert reader == ("XREADGROUP", "GROUP", "g", "c")
    assert head == ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 10)
    assert dict(parts) == {slot_of("{a}"): ("{a}1", "{a}2", ">", "8"), slot_of("{b}"): ("{b}1", "7")}


def test_what_a_script_touches_together_shares_a_slot() -> None:
    keys = Keys("p:", 8)
    workflow = "w1"
    shard = keys.shard(workflow)
    of_shard = [
        keys.workflow(workflow), keys.journal(workflow), keys.escalation(f"{workflow}~1~1"), keys.workflows(shard),
        keys.resumes(shard), keys.deadlines(shard), keys.events(shard), keys.escalation_queue(shard),
    ]  # fmt: skip
    of_type = [keys.agent_queue("t", "high"), keys.agent_queue("t"), keys.instance_queue("t", "i"), keys.unrouted("t")]
    of_agents = [keys.agent_beats, keys.agents, keys.agent_status, keys.orphans, keys.paused, keys.draining]
    of_hosts = [keys.beats, keys.hosts, keys.host_events, keys.beat_times]
    for together in (of_shard, of_type, of_agents, of_hosts):
        assert len({slot_of(key) for key in together}) == 1

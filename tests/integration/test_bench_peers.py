"""A peer as bin/bench --peers runs it: its environment is made, it does the work, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cells import Timing, measure
from bench.peers.environment import Unavailable, prepare
from bench.peers.runs import KINDS

pytestmark = [pytest.mark.once, pytest.mark.long, pytest.mark.timeout(600)]

BRIEF = Timing(warm_s=0.5, window_s=1.5, repeats=1)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_peer_does_the_work_and_leaves_nothing(name: str) -> None:
    kind = KINDS[name]
    try:
        environment = prepare(name)
    except Unavailable as error:
        pytest.skip(f"{kind.title}: {error}")
    with kind(environment) as peer:
        about = peer.about()
        results = [measure(peer, peer.cell(engine, 10), BRIEF) for engine in kind.engines]
        running = [process.pid for process in peer.processes]
    assert set(about["packages"]) == set(kind.packages)
    assert all(result.failed == 0 and result.completed > 0 for result in results)
    assert all({"server", "worker", "client"} <= set(result.cpu_by_process) for result in results)
    left = [pid for pid in running if Path(f"/proc/{pid}").exists() and _state(pid) != "Z"]
    assert left == []
    assert not peer.home.exists()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"

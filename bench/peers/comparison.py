"""How Ganglion compares with each peer, from the runs of one measurement. Nothing here starts anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.cells import Result

HEADS = ("in flight", "× workflows/s", "target", "× p99", "× CPU")


@dataclass(frozen=True)
class Ratio:
    """One engine at one level; Ganglion is better where throughput is above 1, and the others are below.

    Attributes:
        engine: The peer's.
        in_flight: Workflows at the same time.
        throughput: Ganglion's workflows a second for each of the peer's.
        p99: Ganglion's 99th percentile as a share of the peer's; 0 where the peer's is not known.
        cpu: Ganglion's processor time for a workflow as a share of the peer's; 0 where the peer's is not known.
        target: The throughput that is aimed for at this level; 0 where nothing is set.
    """

    engine: str
    in_flight: int
    throughput: float
    p99: float
    cpu: float
    target: float = 0.0


def compare(ours: Iterable[Result], theirs: Iterable[Result], targets: Mapping[tuple[str, int], float]) -> list[Ratio]:
    """Each run of a peer against Ganglion's at the same level; runs without a counterpart are left out."""
    by_level = {run.in_flight: run for run in ours}
    found = []
    for peer in theirs:
        run = by_level.get(peer.in_flight)
        if run is not None and peer.wf_per_s:
            throughput = round(run.wf_per_s / peer.wf_per_s, 2)
            p99, cpu = _share(run.p99_ms, peer.p99_ms), _share(run.cpu_ms_per_wf, peer.cpu_ms_per_wf)
            target = targets.get((peer.engine, peer.in_flight), 0.0)
            found.append(Ratio(peer.engine, peer.in_flight, throughput, p99, cpu, target))
    return found


def _share(ours: float, theirs: float) -> float:
    return round(ours / theirs, 3) if theirs else 0.0


def to_dict(ratios: Iterable[Ratio]) -> dict[str, float]:
    """Under the names that the JSON file has."""
    found: dict[str, float] = {}
    for ratio in ratios:
        what = f"{ratio.engine}, {ratio.in_flight} in flight"
        found[f"{what}: workflows/s"] = ratio.throughput
        found[f"{what}: p99"] = ratio.p99
        found[f"{what}: CPU a workflow"] = ratio.cpu
    return found


def rows(ratios: Iterable[Ratio]) -> list[list[str]]:
    """For a table: the engine, and what ``HEADS`` names."""
    found = []
    for ratio in ratios:
        target = f"≥ {ratio.target:g}" if ratio.target else ""
        numbers = [f"{ratio.in_flight:,}", f"{ratio.throughput:.1f}", target, f"{ratio.p99:.2f}", f"{ratio.cpu:.2f}"]
        found.append([ratio.engine, *numbers])
    return found


def setups(abouts: Iterable[Mapping[str, object]]) -> list[list[str]]:
    """How each peer was set up: its name, its packages with their licences, settings, durability."""
    found = []
    for about in abouts:
        packages = about["packages"]
        assert isinstance(packages, dict)
        named = [f"{name} {one['version']} ({one['licence']})" for name, one in packages.items()]
        if "server" in about:
            named.append(str(about["server"]))
        found.append([str(about["peer"]), ", ".join(named), str(about["settings"]), str(about["durability"])])
    return found


SETUP_HEADS = ("packages", "settings", "durability")

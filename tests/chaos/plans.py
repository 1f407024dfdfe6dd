"""Random workflows whose outcome is known before they run: the sum of their values."""

from __future__ import annotations

import random

import msgspec


class Work(msgspec.Struct, tag=True, omit_defaults=True):
    """One task: fails so often before it gives its value; ``final`` fails until a person supplies it."""

    value: int
    fails: int = 0
    final: bool = False
    slow_ms: int = 0
    padding: str = ""


class Huge(msgspec.Struct, tag=True):
    """A task whose agent returns more than is allowed, until a person supplies its value."""

    value: int
    size_bytes: int


class Block(msgspec.Struct, tag=True):
    """Blocks the event loop of the first host that runs it."""

    ms: int


class Crash(msgspec.Struct, tag=True):
    """Ends every host that runs it: ``exit`` by os._exit, ``memory`` as the kernel ends what has eaten too much."""

    how: str


class Together(msgspec.Struct, tag=True):
    """Nodes side by side."""

    nodes: list[Node]


class Sequence(msgspec.Struct, tag=True):
    """Nodes one after the other."""

    nodes: list[Node]


class Nap(msgspec.Struct, tag=True):
    """A timer."""

    ms: int


class Signal(msgspec.Struct, tag=True):
    """Waits for a signal that brings its value."""

    name: str
    value: int


class Question(msgspec.Struct, tag=True):
    """Asks people, who answer with its value."""

    value: int


class Child(msgspec.Struct, tag=True):
    """A child workflow."""

    node: Node


class Note(msgspec.Struct, tag=True):
    """A recorded value."""

    value: int


Node = Work | Huge | Block | Crash | Together | Sequence | Nap | Signal | Question | Child | Note


def total(node: Node) -> int:
    """What a workflow of this plan must give."""
    match node:
        case Together(nodes) | Sequence(nodes):
            return sum(total(member) for member in nodes)
        case Child(inner):
            return total(inner)
        case Nap() | Block() | Crash():
            return 0
        case _:
            return node.value


def signals(node: Node) -> list[Signal]:
    """The signals that a plan waits for, outside its children."""
    match node:
        case Together(nodes) | Sequence(nodes):
            return [signal for member in nodes for signal in signals(member)]
        case Signal():
            return [node]
        case _:
            return []


def make(seed: int, number: int) -> Node:
    """The plan with this number of a seed's run: mostly the four-step workflow, sometimes anything."""
    rng = random.Random(f"{seed}/{number}")
    if rng.random() < 0.6:
        first, second, third, last = (_work(rng) for _ in range(4))
        return Sequence([first, Together([second, third]), last])
    return Sequence([_node(rng, f"{number}.{index}", 2) for index in range(rng.randint(1, 4))])


def _work(rng: random.Random) -> Work:
    work = Work(value=rng.randint(1, 1000))
    chance = rng.random()
    if chance < 0.05:
        work.fails = rng.randint(1, 2)
    elif chance < 0.06:
        work.fails = rng.randint(3, 5)
    elif chance < 0.065:
        work.final = True
    elif chance < 0.15:
        work.slow_ms = rng.randint(10, 300)
    if rng.random() < 0.02:
        work.padding = "x" * rng.randint(1_000, 40_000)
    return work


def _node(rng: random.Random, name: str, depth: int) -> Node:
    chance = rng.random()
    if depth and chance < 0.2:
        return Together([_node(rng, f"{name}.{index}", depth - 1) for index in range(rng.randint(1, 4))])
    if depth and chance < 0.28:
        return Child(Sequence([_work(rng), _work(rng)]))
    if chance < 0.38:
        return Nap(rng.choice((0, 20, 200, 1500, 4000)))
    if chance < 0.44:
        return Signal(name, rng.randint(1, 1000))
    if chance < 0.46:
        return Question(rng.randint(1, 1000))
    if chance < 0.52:
        return Note(rng.randint(1, 1000))
    return _work(rng)

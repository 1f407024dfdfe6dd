"""The four steps on Restate, both ways that its documentation shows; served by any ASGI server."""

from __future__ import annotations

from typing import Any

import restate

from bench.peers.payloads import DOCUMENT, FINDING, work

Payload = dict[str, Any]

steps = restate.Service("Steps")
reviews = restate.Service("Reviews")


@steps.handler()
async def classify(ctx: restate.Context, document: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


@steps.handler()
async def extract(ctx: restate.Context, kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@steps.handler()
async def validate(ctx: restate.Context, kind: Payload) -> Payload:
    """Returns 150 bytes."""
    await work()
    return FINDING


@steps.handler()
async def summarize(ctx: restate.Context, findings: Payload) -> Payload:
    """Returns 300 bytes."""
    await work()
    return DOCUMENT


@reviews.handler()
async def calls(ctx: restate.Context, document: Payload) -> Payload:
    """Each step is a call to another service, as with agents in processes of their own."""
    kind = await ctx.service_call(classify, document)
    facts, issues = ctx.service_call(extract, kind), ctx.service_call(validate, kind)
    await restate.gather(facts, issues)
    return await ctx.service_call(summarize, {"facts": await facts, "issues": await issues})


async def _classify(document: Payload) -> Payload:
    await work()
    return DOCUMENT


async def _extract(kind: Payload) -> Payload:
    await work()
    return FINDING


async def _validate(kind: Payload) -> Payload:
    await work()
    return FINDING


async def _summarize(findings: Payload) -> Payload:
    await work()
    return DOCUMENT


@reviews.handler()
async def local(ctx: restate.Context, document: Payload) -> Payload:
    """Each step runs in this process, and its result is journaled."""
    kind = await ctx.run_typed("classify", _classify, document=document)
    facts = ctx.run_typed("extract", _extract, kind=kind)
    issues = ctx.run_typed("validate", _validate, kind=kind)
    await restate.gather(facts, issues)
    return await ctx.run_typed("summarize", _summarize, findings={"facts": await facts, "issues": await issues})


app = restate.app([reviews, steps])

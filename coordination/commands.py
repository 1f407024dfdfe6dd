"""Operators' writes: decisions, cancellation, signals, the agent pool. The runtime never imports this."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Any

import msgspec

from coordination import journal as j
from coordination import pool, restarting
from coordination.connection import Connection
from coordination.domain import Action, RemoteAgent
from coordination.durability import durable
from coordination.errors import BadRequest, DecisionConflict, EscalationNotFound, WorkflowFinished, WorkflowNotFound
from coordination.keys import workflow_of
from coordination.leases import accept
from coordination.restarting import Ended, plan
from coordination.scripts import CONFLICT, DUPLICATE, FINISHED, GONE
from coordination.streams import wake
from coordination.task_run import Reroute

KEY_TTL_S = 7 * 86_400  # an idempotency key outlives its workflow by this


class Commands:
    """Writes for the console, the API and the relay; each is one script, and safe to repeat."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._keys = connection.keys

    async def decide(
        self,
        escalation_id: str,
        *,
        version: int,
        action: Action | str,
        actor: str,
        decision_id: str,
        value: Any = None,
        durability: str | None = None,
    ) -> str:
        """Resolve an escalation exactly once: accepted, or repeated when this decision was accepted before.

        Args:
            escalation_id: The escalation.
            version: The version that the operator saw.
            action: What to do.
            actor: Who decided, set by the server.
            decision_id: The same for every attempt to send this decision.
            value: New input, result or default, as JSON built-ins; for a reroute ``{"agent": name}`` or
                ``{"requires": {capability: value}}``, for a restart ``{"step": id}``.
            durability: As for ``Client.submit``.

        Raises:
            BadRequest: The value of a reroute or a restart does not fit, or it cannot be done; says why.
            DecisionConflict: It changed since it was read, or is decided, or its workflow has ended.
            EscalationNotFound: Redis does not hold it.
        """
        async with durable(self._connection, durability):
            return await self._decide(escalation_id, version, Action(action), actor, decision_id, value)

    async def _decide(
        self, escalation_id: str, version: int, action: Action, actor: str, decision_id: str, value: Any
    ) -> str:
        workflow_id = workflow_of(escalation_id)
        keys, shard = self._keys, self._keys.shard(workflow_id)
        step = await self._connection.call("HGET", keys.escalation(escalation_id), "step")
        if step is None:
            raise EscalationNotFound(f"No escalation {escalation_id} is in Redis; its workflow has ended.")
        carried = await self._carried(action, workflow_id, step.decode(), value)
        blob = j.encode(j.Decided(step.decode(), escalation_id, action, actor, decision_id, carried))
        answer = await self._connection.script(
            "decide",
            [keys.workflow(workflow_id), keys.journal(workflow_id), keys.escalation(escalation_id),
             keys.escalation_queue(shard), keys.resumes(shard), keys.deadlines(shard), keys.events(shard)],
            [workflow_id, escalation_id, version, decision_id, action, actor, blob,
             int(self._connection.config.look_s * 1000)],
        )  # fmt: skip
        match answer[0]:
            case 1:
                await wake(self._connection, answer[1].decode(), workflow_id, answer[2], answer[3], blob)
            case code if code == DUPLICATE:
                return "repeated"
            case code if code == CONFLICT:
                state, by = answer[1].decode(), answer[2].decode()
                who = f" by {by}" if by else ""
                raise DecisionConflict(f"Escalation {escalation_id} is {state}{who} since you read it. Look again.")
            case code if code == FINISHED:
                raise DecisionConflict(f"The workflow of escalation {escalation_id} has ended.")
            case _:
                raise EscalationNotFound(f"No escalation {escalation_id} is in Redis.")
        return "accepted"

    async def _carried(self, action: Action, workflow_id: str, step: str, value: Any) -> bytes | None:
        """What a decision's entry holds beside the action, checked as far as it can be checked now."""
        if action in (Action.RETRY, Action.FAIL):
            return None
        if action is Action.RESTART:
            await self._check_restart(workflow_id, step, value)
        elif action is Action.REROUTE:
            check_reroute(value)
        return msgspec.json.encode(value)

    async def _check_restart(self, workflow_id: str, step: str, value: Any) -> None:
        wanted = value.get("step") if isinstance(value, dict) else None
        if not isinstance(wanted, str) or set(value) != {"step"}:
            raise BadRequest('A restart names its step: {"step": "2"}.')
        planned = plan(await restarting.read(self._connection, workflow_id), wanted)
        if step and step not in planned.again:
            raise BadRequest(
                f"Step {wanted} was asked for after step {step}: restart from {step}, or from an earlier one."
            )

    # --- workflows ----------------------------------------------------------------------

    async def cancel(self, workflow_id: str, *, actor: str = "", reason: str = "") -> None:
        """Ask for a workflow's cancellation, once.

        Raises:
            WorkflowNotFound: Redis does not hold it.
            WorkflowFinished: It has ended.
        """
        entry = j.CancelRequested(actor, reason)
        code = await accept(self._connection, workflow_id, "cancelled", entry, "progressed", ends_pause=True)
        self._refuse(code, workflow_id)

    async def terminate(self, workflow_id: str, *, actor: str, reason: str = "") -> None:
        """End a workflow at once: none of its code runs any more, not even compensations; repeating changes nothing.

        Agents are told to stop its tasks, its escalations are withdrawn, its children are asked to cancel.

        Raises:
            WorkflowNotFound: Redis does not hold it.
            WorkflowFinished: It has ended.
        """
        entry = j.Terminated(actor, reason)
        self._refuse(
            await restarting.interrupt(self._connection, workflow_id, "terminated", entry, ["", True, ""]), workflow_id
        )

    async def pause(self, workflow_id: str, *, actor: str, reason: str = "") -> bool:
        """Hold a workflow: nothing new of it begins, what runs may finish. Returns whether it was not held before.

        Raises:
            WorkflowNotFound: Redis does not hold it.
            WorkflowFinished: It has ended.
        """
        keys, shard = self._keys, self._keys.shard(workflow_id)
        clock = await self._connection.call("TIME")
        note = {"actor": actor, "reason": reason, "at_ms": int(clock[0]) * 1000 + int(clock[1]) // 1000}
        blob = j.encode(j.Paused(actor, reason))
        answer = await self._connection.script(
            "pause",
            [keys.workflow(workflow_id), keys.journal(workflow_id), keys.events(shard)],
            [workflow_id, blob, msgspec.json.encode(note)],
        )
        return await self._told(answer, workflow_id, blob)

    async def resume(self, workflow_id: str, *, actor: str) -> bool:
        """Let a paused workflow go on; timers that came due fire now. Returns whether it was paused.

        Raises:
            WorkflowNotFound: Redis does not hold it.
            WorkflowFinished: It has ended.
        """
        keys, shard = self._keys, self._keys.shard(workflow_id)
        blob = j.encode(j.Resumed(actor))
        answer = await self._connection.script(
            "resume_workflow",
            [keys.workflow(workflow_id), keys.journal(workflow_id), keys.resumes(shard), keys.deadlines(shard),
             keys.events(shard)],
            [workflow_id, blob, int(self._connection.config.look_s * 1000)],
        )  # fmt: skip
        return await self._told(answer, workflow_id, blob)

    async def _told(self, answer: list[Any], workflow_id: str, blob: bytes) -> bool:
        self._refuse(answer[0], workflow_id)
        if answer[0] == 1:
            await wake(self._connection, answer[1].decode(), workflow_id, answer[2], answer[3], blob)
        return bool(answer[0] == 1)

    async def restart(self, workflow_id: str, step: str, *, actor: str, reason: str = "", request_id: str = "") -> int:
        """Let a live workflow begin anew from a step, once for each request; gives the generation that began.

        Results of steps asked for before it are kept. It and all later ones are forgotten: their tasks are stopped,
        their escalations withdrawn, their children cancelled.

        Raises:
            BadRequest: No such step, compensations have begun, or it is being cancelled.
            WorkflowNotFound: Redis does not hold it.
            WorkflowFinished: It has ended: use ``restart_ended``.
            TryAgain: Its journal grows too fast; pause it first.
        """
        return await restarting.restart(self._connection, workflow_id, step, actor, reason, request_id)

    async def retry_now(self, workflow_id: str, step: str, actor: str) -> None:
        """End a step's backoff early; a step that is not in backoff is left alone.

        Raises:
            WorkflowNotFound: Redis does not hold the workflow.
            WorkflowFinished: It has ended.
        """
        code = await accept(self._connection, workflow_id, "", j.RetryNow(step, actor), "progressed")
        self._refuse(code, workflow_id)

    def _refuse(self, code: int, workflow_id: str) -> None:
        if code == GONE:
            raise WorkflowNotFound(f"No workflow {workflow_id} is in Redis.")
        if code == FINISHED:
            raise WorkflowFinished(f"Workflow {workflow_id} has already ended.")

    async def forget(self, mirrored: dict[str, int]) -> int:
        """Let finished workflows leave Redis once the history has them to their last entry.

        Args:
            mirrored: Workflow id to the last sequence number that the history holds.

        Returns:
            How many left.
        """
        ttl_s = self._connection.config.result_ttl_s
        answers = await self._connection.scripts(
            "forget",
            [
                ([self._keys.workflow(identity), self._keys.journal(identity)], [seq, ttl_s, KEY_TTL_S])
                for identity, seq in mirrored.items()
            ],
        )
        return sum(1 for answer in answers if answer == 1)

    async def forget_escalation(self, escalation_id: str) -> None:
        """Let an escalation that is no longer open leave Redis after the results' time."""
        key = self._keys.escalation(escalation_id)
        if await self._connection.call("HGET", key, "state") == b"open":
            raise BadRequest(f"Escalation {escalation_id} is open.")
        await self._connection.call("EXPIRE", key, self._connection.config.result_ttl_s)

    async def restart_ended(self, ended: Ended, step: str, *, request_id: str = "") -> str:
        """Start a new workflow with what an ended one keeps before a step, once for each request; gives its id.

        Steps that had not ended when the workflow did begin anew, too. The new one is labelled ``restarted_from``.

        Raises:
            BadRequest: No such step, compensations have begun, or it was asked for after the cancellation.
        """
        new_id = again_id(ended.id, f"restart/{step}/{request_id}" if request_id else "")
        await restarting.restore(self._connection, ended, step, new_id)
        return new_id

    # --- the agent pool ---------------------------------------------------------------------

    async def pause_type(self, task_type: str, actor: str, reason: str = "") -> None:
        """Keep agents from taking tasks of a type; those under way go on."""
        await pool.pause_type(self._connection, task_type, actor, reason)

    async def resume_type(self, task_type: str, actor: str, ramp_s: float = 0.0) -> None:
        """Let agents take tasks of a type again: all at once, or with slots that come back over so many seconds."""
        await pool.resume_type(self._connection, task_type, actor, ramp_s)

    async def drain_agent(self, instance: str, actor: str = "") -> None:
        """Keep one instance from taking tasks; those under way go on."""
        await pool.drain_agent(self._connection, instance, actor)

    async def undrain_agent(self, instance: str) -> None:
        """Let an instance take tasks again."""
        await pool.undrain_agent(self._connection, instance)

    async def register_remote(self, agent: RemoteAgent) -> None:
        """Register a remote agent, which a gateway worker then calls."""
        await pool.register_remote(self._connection, agent)

    async def remove_remote(self, name: str) -> None:
        """Remove a remote agent; its tasks wait for others."""
        await pool.remove_remote(self._connection, name)


def check_reroute(value: Any) -> None:
    """Refuse what names neither an agent nor capabilities.

    Raises:
        BadRequest: Says what it must look like.
    """
    try:
        chosen = msgspec.convert(value, Reroute)
    except msgspec.ValidationError as error:
        raise BadRequest(f"This reroute does not fit: {error}.") from None
    if bool(chosen.agent) == (chosen.requires is not None) or not set(value) <= {"agent", "requires"}:
        raise BadRequest('A reroute names an agent, {"agent": "name"}, or capabilities, {"requires": {"kind": "nda"}}.')


def again_id(workflow_id: str, request: str) -> str:
    """The id of a workflow that repeats another: the same for each request, or one of its own."""
    if not request:
        return f"w{int(time.time() * 1000):011x}{secrets.token_hex(5)}"
    return f"k{hashlib.blake2b(f'{workflow_id}/{request}'.encode(), digest_size=12).hexdigest()}"

"""The console's API as an outside program calls it: decisions, a schedule, a submit that is too large."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import httpx

_TIMEOUT_S = 10.0
_LATER = (429, 500, 502, 503)  # what may be sent again as it is


class Console:
    """Calls the web process until it has answered; a call that may have arrived is sent again under its id."""

    def __init__(self, address: str, token: Path) -> None:
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        self._http = httpx.AsyncClient(base_url=f"{address}/api", headers=headers, timeout=_TIMEOUT_S)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Post until the web process has answered, whether it is killed meanwhile or Redis is away."""
        while True:
            try:
                answer = await self._http.post(path, json=body)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code not in _LATER:
                return answer
            await asyncio.sleep(0.5)

    async def decide(self, escalation_id: str, version: int, action: str, value: Any) -> str | None:
        """Decide; gives the decision's id once it is acknowledged (202: it will be sent to Redis by itself)."""
        decision_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{escalation_id}/{version}"))
        body = {"action": action, "payload": value, "version": version, "decision_id": decision_id}
        answer = await self.post(f"/escalations/{escalation_id}/resolve", body)
        return decision_id if answer.status_code in (200, 202) else None

    async def schedule(self, name: str, workflow_type: str, value: Any) -> None:
        """Have a workflow submitted each minute."""
        body = {"name": name, "workflow_type": workflow_type, "input": value, "cron": "* * * * *"}
        answer = await self.post("/schedules", body)
        if answer.status_code != 201 and "already a schedule" not in answer.text:
            raise RuntimeError(f"the schedule was refused: {answer.status_code} {answer.text}")

    async def try_huge(self, path: str, body: dict[str, Any]) -> int:
        """Post once; the answer's status, or 0 when the connection was closed before there was one."""
        try:
            return (await self._http.post(path, json=body)).status_code
        except httpx.TransportError:
            return 0

"""The commands."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dashboard.cli import show
from dashboard.cli.errors import CommandFailed, Exit
from dashboard.cli.http import Api, segment

app = typer.Typer(
    help="Submit workflows, watch them, and decide what machines cannot.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
run = typer.Typer(help="Run one of the examples.", no_args_is_help=True)
app.add_typer(run, name="run")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
WorkflowId = Annotated[str, typer.Argument(metavar="WORKFLOW")]
EscalationId = Annotated[str, typer.Argument(metavar="ESCALATION")]

FINAL = ("completed", "failed", "cancelled")
WAIT_S = 25.0  # of one call that waits for a result
LOOK_S = 0.5


def value_of(text: str | None) -> Any:
    """JSON given inline, from a file as ``@path``, or from stdin as ``@-``.

    Raises:
        CommandFailed: It is no JSON, or the file cannot be read.
    """
    if text is None:
        return None
    where = "The JSON"
    if text.startswith("@"):
        where = "stdin" if text == "@-" else text[1:]
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandFailed(f"{where} is no JSON: {error}. Text needs quotes: '\"text\"'.") from None


# --- workflows --------------------------------------------------------------------------------


@app.command()
def submit(
    workflow_type: Annotated[str, typer.Argument(metavar="TYPE")],
    value: Annotated[str | None, typer.Argument(metavar="INPUT", help="JSON, @file or @-")] = None,
    file: Annotated[Path | None, typer.Option(help="Upload this document; its reference becomes a field.")] = None,
    field: Annotated[str, typer.Option(help="The input's field that takes the document.")] = "file",
    kinds: Annotated[str, typer.Option(help="Kinds of document to accept.")] = "pdf,docx,txt,csv,json",
    key: Annotated[str | None, typer.Option(help="The same key never starts a second workflow.")] = None,
    workflow_id: Annotated[str | None, typer.Option("--id", help="An id of your own.")] = None,
    deadline_s: Annotated[float | None, typer.Option("--deadline", help="Seconds.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="name=value; repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end and print the result.")] = False,
    as_json: AsJson = False,
) -> int:
    """Submit a workflow and print its id."""
    api = Api()
    given = value_of(value)
    if file is not None:
        given = given if given is not None else {}
        if not isinstance(given, dict):
            raise CommandFailed("With --file, INPUT must be a JSON object.")
        given[field] = api.upload(file, kinds)
    labels = dict(pair.partition("=")[::2] for pair in label or [])
    body = {"type": workflow_type, "input": given, "key": key, "id": workflow_id, "deadline_s": deadline_s}
    return _submit(api, {**body, "labels": labels}, wait, as_json)


def _submit(api: Api, body: dict[str, Any], wait: bool, as_json: bool) -> int:
    accepted = api.post("/workflows", body)
    if wait:
        return _wait(api, accepted["id"], None)
    if as_json:
        show.as_json(accepted)
    else:
        show.line(accepted["id"])
    return 0


@app.command()
def get(
    workflow_id: WorkflowId,
    journal: Annotated[bool, typer.Option("--journal", help="With the journal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a workflow with its steps."""
    item = Api().get(f"/workflows/{segment(workflow_id)}", include="journal" if journal else "")
    if as_json:
        show.as_json(item)
        return
    show.workflow(item)
    for row in item.get("journal") or []:
        show.line(f"{row['seq']:>5}  {row['kind']:<16} {row.get('step', ''):<8} {row.get('summary', '')}")


@app.command("list")
def list_workflows(
    state: Annotated[str, typer.Option(help="One or more states, comma between them.")] = "",
    workflow_type: Annotated[str, typer.Option("--type")] = "",
    text: Annotated[str, typer.Option("--search", "-q", help="Words of id and input.")] = "",
    needs: Annotated[str, typer.Option(help="retrying, human or no_agent")] = "",
    sort: Annotated[str, typer.Option(help="created, finished, duration, type, state; - before it: descending")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    cursor: Annotated[str, typer.Option(help="Of the next page.")] = "",
    as_json: AsJson = False,
) -> None:
    """List workflows, the newest first."""
    query = {"state": state, "type": workflow_type, "q": text, "needs": needs, "sort": sort}
    page = Api().get("/workflows", **query, limit=limit, cursor=cursor)
    (show.as_json if as_json else show.workflows)(page)


@app.command()
def result(
    workflow_id: WorkflowId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it ends.")] = False,
    timeout_s: Annotated[float | None, typer.Option("--timeout", help="Wait this many seconds at most.")] = None,
) -> int:
    """Print a workflow's result as JSON."""
    return _wait(Api(), workflow_id, timeout_s if wait or timeout_s else 0.0)


def _wait(api: Api, workflow_id: str, timeout_s: float | None) -> int:
    until = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = WAIT_S if until is None else max(0.0, min(WAIT_S, until - time.monotonic()))
        asked_at = time.monotonic()
        status, answer = api.ask(f"/workflows/{segment(workflow_id)}/result", wait_s=left_s)
        if status != 202:
            break
        if until is not None and time.monotonic() >= until:
            raise CommandFailed.from_answer(status, {"message": answer["message"]})
        if time.monotonic() - asked_at < 1.0:  # too many others wait there
            time.sleep(1.0)
    if answer["state"] != "completed":
        why = (answer.get("error") or {}).get("message", "")
        raise CommandFailed(
            f"Workflow {workflow_id} {_ended(answer['state'])}{': ' + why if why else '.'}", Exit.FAILED
        )
    show.as_json(answer["result"])
    return 0


def _ended(state: str) -> str:
    return "was cancelled" if state == "cancelled" else state


@app.command()
def watch(workflow_id: WorkflowId, as_json: AsJson = False) -> int:
    """Follow a workflow until it ends; with --json one line for each change."""
    api, seen = Api(), ""
    while True:
        item = api.get(f"/workflows/{segment(workflow_id)}")
        steps = [(step["id"], step["name"], step["state"]) for step in item["steps"]]
        now = json.dumps([item["state"], item["progress"], steps])
        if now != seen:
            seen = now
            if as_json:
                show.line(json.dumps(item, ensure_ascii=False))
            else:
                _progress(item, steps)
        if item["state"] in FINAL:
            return 0 if item["state"] == "completed" else int(Exit.FAILED)
        time.sleep(LOOK_S)


def _progress(item: dict[str, Any], steps: list[tuple[str, str, str]]) -> None:
    stamp = time.strftime("%H:%M:%S")
    busy = ", ".join(f"{name} {state}" for _, name, state in steps if state not in ("succeeded", "skipped"))
    words = "; ".join(part for part in (item["progress"], busy, item["error"]) if part)
    show.line(f"{stamp}  {item['state']:<12} {item['steps_done']}/{item['steps_total']} steps  {words}")


@app.command()
def signal(
    workflow_id: WorkflowId,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    payload: Annotated[str | None, typer.Argument(metavar="PAYLOAD", help="JSON, @file or @-")] = None,
    signal_id: Annotated[str | None, typer.Option("--id", help="The same id is delivered once.")] = None,
) -> None:
    """Send a signal to a workflow."""
    body = {"name": name, "payload": value_of(payload), "signal_id": signal_id}
    Api().post(f"/workflows/{segment(workflow_id)}/signal", body)


@app.command()
def cancel(workflow_id: WorkflowId, reason: Annotated[str, typer.Option(help="For the audit log.")] = "") -> None:
    """Cancel a workflow."""
    Api().post(f"/workflows/{segment(workflow_id)}/cancel", {"reason": reason})


# --- escalations ------------------------------------------------------------------------------


@app.command()
def escalations(
    state: Annotated[str, typer.Option(help="open, resolved, withdrawn or all")] = "open",
    workflow_type: Annotated[str, typer.Option("--type")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: AsJson = False,
) -> None:
    """List what waits for people, the oldest first."""
    page = Api().get("/escalations", state=state, type=workflow_type, limit=limit)
    (show.as_json if as_json else show.escalations)(page)


@app.command()
def escalation(escalation_id: EscalationId, as_json: AsJson = False) -> None:
    """Show one escalation, and what can be decided about it."""
    item = Api().get(f"/escalations/{segment(escalation_id)}")
    (show.as_json if as_json else show.escalation)(item)


@app.command()
def resolve(
    escalation_id: EscalationId,
    action: Annotated[str, typer.Option(help="retry, edit, supply, skip or fail")],
    payload: Annotated[
        str | None, typer.Option(help="JSON, @file or @-: the new input, the result or the default")
    ] = None,
    comment: Annotated[str, typer.Option(help="For the audit log.")] = "",
    version: Annotated[int | None, typer.Option(help="Refuse if it has changed since this version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decide an escalation."""
    body = {"action": action, "payload": value_of(payload), "comment": comment, "version": version}
    decision = Api().post(f"/escalations/{segment(escalation_id)}/resolve", body)
    if as_json:
        show.as_json(decision)
    else:
        show.line(f"{decision['state']}{': ' + decision['answer'] if decision['answer'] else ''}")


# --- the system -------------------------------------------------------------------------------


@app.command()
def agents(as_json: AsJson = False) -> None:
    """List agent instances."""
    (show.as_json if as_json else show.agents)(Api().get("/agents"))


@app.command()
def queues(as_json: AsJson = False) -> None:
    """List task queues."""
    (show.as_json if as_json else show.queues)(Api().get("/queues"))


@app.command()
def coordinators(as_json: AsJson = False) -> None:
    """List coordinator hosts."""
    (show.as_json if as_json else show.coordinators)(Api().get("/coordinators"))


@app.command()
def types(as_json: AsJson = False) -> None:
    """List the workflow types that can be submitted."""
    found = Api().get("/workflow-types")
    if as_json:
        show.as_json(found)
        return
    rows = [[item["type"], item["version"], item["description"]] for item in found]
    show.table(["type", "version", "what it does"], rows, "No workflow type is installed.")


@app.command()
def status() -> None:
    """Print the system at a glance, as JSON."""
    show.as_json(Api().get("/status"))


# --- examples -----------------------------------------------------------------------------------


@run.command("legal-review")
def legal_review(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="PDF, DOCX or text")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the report and print it.")] = False,
    as_json: AsJson = False,
) -> int:
    """Review a contract."""
    api = Api()
    reference = api.upload(file, "pdf,docx,txt")
    body = {"type": "legal_review", "input": {"file": reference}, "labels": {"source": "command line"}}
    return _submit(api, body, wait, as_json)


@run.command("shipments")
def shipments(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A CSV feed")] = None,
    sample_rows: Annotated[int, typer.Option("--sample", help="Without FILE: a made-up feed of this many rows.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the made-up feed.")] = 1,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the feed is taken in.")] = False,
    as_json: AsJson = False,
) -> int:
    """Take in a feed of carrier updates, one workflow for each row."""
    api = Api()
    if (file is None) == (sample_rows <= 0):
        raise CommandFailed("Give either a CSV file or --sample ROWS.")
    if file is not None:
        given: dict[str, Any] = {"name": file.name, "file": api.upload(file, "csv,txt")}
    else:
        given = {"sample_rows": sample_rows, "seed": seed}
    return _submit(api, {"type": "shipment_batch", "input": given}, wait, as_json)

"""The console beside much work: what its pages cost the core at its limit, and how soon they show what happens."""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.audience import Audience, sign_in
from bench.cells import Cell, Result, Timing
from bench.cells import measure as measure_cell
from bench.loop import percentile
from bench.processes import cpu_ms_by_pid
from bench.stack import Stack, StackFailed
from bench.talk import Helper

READERS, BROWSERS = 20, 2
IN_FLIGHT = 200
OFFERED_PER_S = 1_000  # workflows, while times of pages are taken
OFFERED_SHARE = 0.6  # at most, of what the core did without pages: on a slower machine 1,000 may be more than it can do
PROBES_PER_S = 5
MOST = 5_000_000  # workflows of one loop
STARTS_S = 4.0  # the client's own start, before the first turn
NOBODY, OPEN, ASKING = "nobody", "open", "asking"  # the turns of the closed loop: who looks
ROUND = (NOBODY, OPEN, ASKING, ASKING, OPEN, NOBODY)
LINK = re.compile(r"Log in once with: (\S+)")
MOST_PAGE_MS, MOST_DOM_MS, MOST_LOSS = 100.0, 500.0, 0.10
# A probe's id says when it was submitted; a page is late by as much as its row appears after that.
WATCH = """() => {
  window.delays = {};
  const look = () => {
    for (const row of document.querySelectorAll("tr[id^=wf-probe]")) {
      const at = +row.id.split("-")[2];
      if (!(at in window.delays)) window.delays[at] = Date.now() - at;
    }
  };
  look();
  window.delays = Object.fromEntries(Object.keys(window.delays).map((at) => [at, null]));
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


@dataclass(frozen=True)
class Shown:
    """The console under load.

    Attributes:
        pages: How many were open.
        wf_per_s_without: Throughput of the core at its limit without any page.
        wf_per_s_with: The same with all of them open, which are kept live.
        wf_per_s_asking: The same while each asks for a page every five seconds, too.
        loss: The share of throughput that open pages cost, by turns of one loop.
        loss_asking: The same while they ask, too.
        offered_per_s: The workflows a second that it was given for the times of pages: 1,000, or three fifths of what
            it did without any page when that is less.
        wf_per_s_paced: What the core did of these.
        wf_per_s_with_browsers: The same with the real browsers beside them, which take the same cores.
        server_p50_ms: A request for a page's live part, from its arrival to its answer as the server says
            (``Server-Timing``), with ``offered_per_s``.
        server_p95_ms: The same.
        page_p50_ms: The same from sending it to its whole answer, as its reader sees it.
        page_p95_ms: The same.
        page_p95_full_ms: The same with the core at its limit, and no core free.
        dom_p50_ms: From submitting a workflow to its row in a real browser's page, with ``offered_per_s``; None
            without a browser.
        dom_p95_ms: The same.
        probes: How many of these were seen.
        frames: Frames that the sockets got.
        web_cpu_ms: Processor time of the console for each workflow, with all pages open and asking.
    """

    pages: int
    wf_per_s_without: float
    wf_per_s_with: float
    wf_per_s_asking: float
    loss: float
    loss_asking: float
    offered_per_s: int
    wf_per_s_paced: float
    wf_per_s_with_browsers: float | None
    server_p50_ms: float
    server_p95_ms: float
    page_p50_ms: float
    page_p95_ms: float
    page_p95_full_ms: float
    dom_p50_ms: float | None
    dom_p95_ms: float | None
    probes: int
    frames: int
    web_cpu_ms: float

    @property
    def verdicts(self) -> list[tuple[str, bool]]:
        """Each target in words, and whether it holds."""
        given = f"with {self.offered_per_s:,} workflows/s: "
        words = f"{given}pages p95 {self.server_p95_ms:,.0f} ms at the server, at most {MOST_PAGE_MS:g}"
        found = [
            (words, self.server_p95_ms <= MOST_PAGE_MS),
            (f"throughput lost {self.loss:.1%}, at most {MOST_LOSS:.0%}", self.loss <= MOST_LOSS),
        ]
        if self.dom_p95_ms is not None:
            words = f"{given}from an event to the page p95 {self.dom_p95_ms:,.0f} ms, at most {MOST_DOM_MS:g}"
            found.append((words, self.dom_p95_ms <= MOST_DOM_MS))
        return found

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        verdicts = [{"words": words, "holds": holds} for words, holds in self.verdicts]
        return {**asdict(self), "verdicts": verdicts}


@dataclass
class Turns:
    """What turns of one closed loop gave, by who looked meanwhile."""

    wf_per_s: dict[str, list[float]] = field(default_factory=lambda: {who: [] for who in (NOBODY, OPEN, ASKING)})
    page_ms: list[float] = field(default_factory=list)
    web_cpu_ms: list[float] = field(default_factory=list)  # for each workflow, while pages are open and ask

    def usual(self, who: str) -> float:
        """The median of its turns."""
        return round(statistics.median(self.wf_per_s[who]), 1)

    def loss(self, who: str) -> float:
        """The share that is lost against the turn without pages of the same half round: the median of all of them."""
        pairs = zip(self.wf_per_s[who], self.wf_per_s[NOBODY], strict=True)
        return round(1 - statistics.median(some / none for some, none in pairs), 3)


def measure(timing: Timing, tell: Callable[[str, int], None]) -> tuple[Shown, list[str]]:
    """Run the closed loop at its limit with pages and without them by turns, then paced, then beside real browsers."""
    once = Timing(timing.warm_s, timing.window_s, 1)
    paced, left_out = list[Result](), list[str]()
    page_ms, server_ms, frames = list[float](), list[float](), 0
    with Stack() as stack:
        url, cookie = _url(stack), sign_in(_link(stack))
        tell("the core with and without pages", 0)
        turns = _by_turns(stack, url, cookie, timing)
        tell("the core with and without pages", timing.repeats)
        per_s = min(OFFERED_PER_S, round(OFFERED_SHARE * turns.usual(NOBODY)))
        for _ in range(timing.repeats):
            with Audience(url, cookie, READERS) as audience:
                paced.append(_loop(stack, once, per_s=per_s))
                page_ms += audience.took_ms
                server_ms += audience.server_ms
                frames += sum(reader.frames for reader in audience.readers)
            tell(f"{per_s:,} workflows/s with {READERS} pages", 1)
        delays, alongside = list[float](), None
        try:
            with Audience(url, cookie, READERS - BROWSERS), _browsers(url, cookie) as pages:
                tell("the core with browsers", 0)
                alongside, delays = _watched(stack, pages, once, per_s)
        except (ImportError, FileNotFoundError) as error:
            left_out.append(f"real browsers: {error}")
        tell("the core with browsers", 1)
    for times in (page_ms, server_ms, turns.page_ms, delays):
        times.sort()
    shown = Shown(
        READERS,
        turns.usual(NOBODY),
        turns.usual(OPEN),
        turns.usual(ASKING),
        turns.loss(OPEN),
        turns.loss(ASKING),
        per_s,
        statistics.median(run.wf_per_s for run in paced),
        alongside.wf_per_s if alongside else None,
        round(percentile(server_ms, 0.5), 1),
        round(percentile(server_ms, 0.95), 1),
        round(percentile(page_ms, 0.5), 1),
        round(percentile(page_ms, 0.95), 1),
        round(percentile(turns.page_ms, 0.95), 1),
        round(percentile(delays, 0.5), 1) if delays else None,
        round(percentile(delays, 0.95), 1) if delays else None,
        len(delays),
        frames,
        round(statistics.median(turns.web_cpu_ms), 3),
    )
    return shown, left_out


def _by_turns(stack: Stack, url: str, cookie: str, timing: Timing) -> Turns:
    """Open and close the pages beside one closed loop, so that neighbours in time are compared.

    A turn is ``warm_s`` that are not counted, less what opening the pages takes of it, and ``window_s``.
    """
    plan, turn_s = ROUND * timing.repeats, timing.warm_s + timing.window_s
    record, spans, turns = stack.home / "turns.json", list[tuple[str, float, float]](), Turns()
    web, cpu_ms = [process.pid for process in stack.processes if process.name == "web"], list[float]()
    with ThreadPoolExecutor(1) as aside:
        began = time.time() + STARTS_S
        running = aside.submit(_loop, stack, Timing(STARTS_S, turn_s * len(plan), 1), record=record)
        for number, who in enumerate(plan):
            until = began + turn_s * (number + 1)
            with (
                Audience(url, cookie, READERS, asks=who == ASKING)
                if who != NOBODY
                else contextlib.nullcontext() as seen
            ):
                _sleep_until(until - timing.window_s)
                since, used = time.time(), sum(cpu_ms_by_pid(web).values())
                if seen:
                    seen.forget()
                _sleep_until(until)
                spans.append((who, since, time.time()))
                cpu_ms.append(sum(cpu_ms_by_pid(web).values()) - used)
                if seen:
                    turns.page_ms += seen.took_ms
        running.result()
    ends = sorted(end for _, end in json.loads(record.read_text()).values() if end)
    for (who, since, to), used in zip(spans, cpu_ms, strict=True):
        done = bisect_left(ends, to) - bisect_left(ends, since)
        if not done:
            raise StackFailed("Nothing ended while pages were open.")
        turns.wf_per_s[who].append(done / (to - since))
        if who == ASKING:
            turns.web_cpu_ms.append(used / done)
    return turns


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _loop(stack: Stack, timing: Timing, *, per_s: int = 0, record: Path | None = None) -> Result:
    kept = ("--record", str(record)) if record else ()
    client = ("--per-s", str(per_s), "--most", str(MOST), *kept)
    return measure_cell(stack, Cell("ganglion", IN_FLIGHT, "", client=client), timing)


def _watched(stack: Stack, pages: list[Any], timing: Timing, per_s: int) -> tuple[Result, list[float]]:
    """The paced loop, and a few workflows a second that browsers wait for."""
    with Helper(stack, "bench.driver") as driver, ThreadPoolExecutor(2) as aside:  # the browser has this thread
        running = aside.submit(_loop, stack, timing, per_s=per_s)
        seconds = timing.warm_s + timing.window_s
        probing = aside.submit(driver.ask, "probe", per_second=PROBES_PER_S, seconds=seconds)
        while not (running.done() and probing.done()):
            pages[0].wait_for_timeout(100)
        pages[0].wait_for_timeout(2_000)
        delays = [delay for page in pages for delay in page.evaluate("Object.values(window.delays)")]
        return running.result(), [float(delay) for delay in delays if delay is not None]


@contextlib.contextmanager
def _browsers(url: str, cookie: str) -> Iterator[list[Any]]:
    """Pages of real browsers that watch for the rows of probes."""
    from playwright.sync_api import sync_playwright

    from tests import chromium

    with sync_playwright() as playwright:
        running = [
            playwright.chromium.launch(executable_path=chromium.find(), args=chromium.ARGUMENTS)
            for _ in range(BROWSERS)
        ]
        pages = []
        for browser in running:
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            parts = (one.partition("=") for one in cookie.split("; "))
            context.add_cookies([{"name": name, "value": value, "url": url} for name, _, value in parts])
            page = context.new_page()
            page.goto(f"{url}/workflows/?type=bench_probe")
            page.wait_for_selector("#live-state[data-live=live], #live-state[data-live=stale]", state="attached")
            page.evaluate(WATCH)
            pages.append(page)
        yield pages
        for browser in running:
            browser.close()


def _link(stack: Stack) -> str:
    found = LINK.search((stack.home / "process-0.log").read_text(errors="replace"))
    if not found:
        raise StackFailed("The console printed no login link.")
    return found[1]


def _url(stack: Stack) -> str:
    return "/".join(_link(stack).split("/")[:3])

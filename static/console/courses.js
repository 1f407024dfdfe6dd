/* The charts of the overview, drawn from the server's columns with a cursor that the mouse and the arrow keys move.
   Without this script the server's drawings stay. */
(() => {
  "use strict";
  const box = document.querySelector("[data-courses]");
  if (!box || !window.uPlot) return;

  const { locale, word } = ganglion;
  const NAMES = { throughput: [word("finished")], latency: [word("median"), word("p95")], lag: [word("tasks")], escalations: [word("open")] };
  const TONES = { throughput: ["done"], latency: ["done", "running"], lag: ["waiting"], escalations: ["human"] };
  const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  const ofDay = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
  const ofTwoDays = new Intl.DateTimeFormat(locale, { weekday: "short", hour: "numeric", minute: "2-digit" });
  const ofWeeks = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric" });
  const exact = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const drawn = new Map(); // the name of a chart -> its plot
  let seen = null, timer = 0;

  function spell(ms) {
    for (const [unit, many] of [["h", 3600000], ["min", 60000], ["s", 1000]]) if (ms >= many) return `${whole.format(ms / many)} ${unit}`;
    return `${Math.round(ms)} ms`;
  }
  const steps = Array.from({ length: 30 }, (_, place) => [1, 2, 5][place % 3] * 10 ** Math.floor(place / 3)); // nothing is counted in parts
  const value = (name, number) => (number == null ? word("nothing") : name === "latency" ? spell(number) : whole.format(number));
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function said(name, index) {
    const parts = seen.columns[name].map((column, i) => `${NAMES[name][i]} ${value(name, column[index])}`);
    return `${exact.format(seen.at[index] * 1000)}: ${parts.join(", ")}`;
  }

  function tell(name, place) {
    const index = drawn.get(name)?.cursor.idx;
    const words = place.closest(".panel").querySelector(".panel-head .meta");
    words.dataset.calm ??= words.textContent;
    words.textContent = index == null ? words.dataset.calm : said(name, index);
    const at = index ?? seen.at.length - 1;
    place.setAttribute("aria-valuemax", seen.at.length - 1);
    place.setAttribute("aria-valuenow", at);
    place.setAttribute("aria-valuetext", said(name, at));
  }

  function options(name, place) {
    const moment = seen.step_s >= 3600 ? ofWeeks : seen.step_s >= 600 ? ofTwoDays : ofDay;
    const axis = { stroke: token("muted"), font: "11px Inter, sans-serif", grid: { stroke: token("border"), width: 1 }, ticks: { show: false } };
    return {
      width: place.clientWidth, height: place.clientHeight, legend: { show: false }, padding: [8, 30, 0, 0],
      cursor: { sync: { key: "courses" }, drag: { x: false, y: false }, y: false },
      scales: { y: { range: (plot, low, high) => [0, high > 0 ? uPlot.rangeNum(0, high, 0.1, true)[1] : 1] } },
      axes: [
        { ...axis, size: 28, space: 76, values: (plot, at) => at.map((one) => moment.format(one * 1000)) },
        { ...axis, size: 58, space: 34, incrs: steps, values: (plot, levels) => levels.map((one) => (name === "latency" && one ? spell(one) : whole.format(one))) },
      ],
      series: [{}, ...seen.columns[name].map((column, i) => ({ stroke: token(TONES[name][i]), width: 1.75, points: { size: 4 } }))],
      hooks: { setCursor: [() => tell(name, place)] },
    };
  }

  function draw() {
    for (const place of box.querySelectorAll("[data-course]")) {
      const name = place.dataset.course;
      drawn.get(name)?.destroy();
      place.replaceChildren();
      drawn.set(name, new uPlot(options(name, place), [seen.at, ...seen.columns[name]], place));
      tell(name, place);
    }
  }

  function move(event) {
    const plot = drawn.get(event.currentTarget.dataset.course);
    if (!plot) return;
    const last = seen.at.length - 1, here = plot.cursor.idx ?? last;
    const step = event.shiftKey ? 10 : 1;
    const wanted = { ArrowLeft: here - step, ArrowDown: here - step, ArrowRight: here + step, ArrowUp: here + step, Home: 0, End: last }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, wanted));
    plot.setCursor({ left: plot.valToPos(seen.at[index], "x"), top: 1 }, true, true);
  }

  async function read() {
    clearTimeout(timer);
    try {
      const answer = await fetch(box.dataset.courses, { headers: { Accept: "application/json" } });
      if (answer.ok && !answer.redirected) {
        seen = await answer.json();
        if (drawn.size) for (const [name, plot] of drawn) plot.setData([seen.at, ...seen.columns[name]]);
        else draw();
      }
    } catch { /* the top bar says that the connection is lost; the next try comes */ }
    timer = setTimeout(() => { if (!document.hidden) read(); }, Math.min(60, seen?.step_s ?? 10) * 1000);
  }

  for (const place of box.querySelectorAll("[data-course]")) {
    place.tabIndex = 0;
    place.setAttribute("role", "slider");
    place.setAttribute("aria-valuemin", 0);
    place.setAttribute("aria-valuenow", 0);
    place.setAttribute("aria-labelledby", `chart-${place.dataset.course}`);
    place.addEventListener("keydown", move);
    place.addEventListener("blur", () => drawn.get(place.dataset.course)?.setCursor({ left: -10, top: -10 }, true, true));
    new ResizeObserver(() => drawn.get(place.dataset.course)?.setSize({ width: place.clientWidth, height: place.clientHeight })).observe(place);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (seen) draw(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) read(); });
  read();
})();

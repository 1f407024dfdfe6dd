/* Times in the reader's zone, ids copied by a click, menus, and the state of the live connection.
   Everything here adds to pages that work without it. */
(() => {
  "use strict";

  /* --- words and numbers in the page's language; the reader's own form of it where their browser names one ---- */
  const spoken = document.documentElement.lang;
  const locale = navigator.languages.find((one) => one.split("-")[0] === spoken) || spoken;
  const words = JSON.parse(document.getElementById("words").textContent);
  const word = (name, parts = {}) => words[name].replace(/\{(\w+)\}/g, (place, part) => parts[part] ?? place);
  window.ganglion = { locale, word };

  /* --- times ---------------------------------------------------------------- */
  const exact = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
  const brief = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const precise = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
  let skew = 0; // server's clock minus ours, in ms

  function spell(ms, days = "days") {
    const s = Math.max(0, Math.floor(ms / 1000));
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min`;
    if (s < 172800) return `${Math.floor(s / 3600)} h`;
    return word(days, { n: Math.floor(s / 86400) });
  }

  function tell(element) {
    const at = Date.parse(element.dateTime);
    if (Number.isNaN(at)) return;
    const past = Date.now() + skew - at;
    const mode = element.dataset.time;
    let text = brief.format(at);
    if (mode === "exact") text = precise.format(at);
    else if (mode === "age") text = spell(Math.abs(past));
    else if (past < -1000) text = word("in", { time: spell(-past, "days_of") });
    else if (past < 3000) text = word("now");
    else if (past < 7 * 86400000) text = word(mode === "since" ? "since" : "ago", { time: spell(past, "days_of") });
    if (element.textContent !== text) element.textContent = text;
    const full = exact.format(at);
    if (element.title !== full) element.title = full;
  }

  function tellAll(root) {
    for (const element of root.querySelectorAll("time[data-time]")) tell(element);
  }

  /* --- the title and the icon carry the count of open escalations -------------- */
  const plainTitle = document.title.replace(/^\(\d+\+?\) /, "");
  function showCount(count) {
    document.title = count > 0 ? `(${count}) ${plainTitle}` : plainTitle;
    for (const badge of document.querySelectorAll("[data-count]")) {
      badge.dataset.n = count;
      badge.textContent = count > 999 ? `${Math.floor(count / 1000)}k` : count;
    }
    const link = document.querySelector('link[rel="icon"]');
    if (link) {
      const wanted = count > 0 ? link.dataset.alert : link.dataset.calm;
      if (wanted && link.getAttribute("href") !== wanted) link.setAttribute("href", wanted);
    }
  }

  function showApprovals(count) { // those that wait for this person
    for (const badge of document.querySelectorAll("[data-approvals]")) {
      badge.dataset.n = count;
      if (badge.firstChild.data !== String(count)) badge.firstChild.data = count;
    }
  }

  /* --- the live connection -------------------------------------------------------- */
  const state = document.getElementById("live-state");
  const GONE = [4403, 4404]; // closed by the server for good, see dashboard/consumers.py
  const SILENT_MS = 15000, MOST_SILENT_MS = 120000; // the server says something every two seconds
  let link = null, triedAt = 0, patience = SILENT_MS;
  let lastHeard = 0, lastSeq = 0, closed = false, note = "", said = null;
  const banner = document.querySelector("[data-late]");

  function showBanner(title, words) {
    if (!banner) return;
    banner.hidden = !title;
    for (const [name, text] of [["title", title], ["words", words]]) {
      const element = banner.querySelector(`[data-late-${name}]`);
      const shown = title ? text : "";
      if (element.textContent !== shown) element.textContent = shown;
    }
  }

  function showLive() {
    if (!state || !document.getElementById("live")) return;
    const silent = lastHeard ? Date.now() - lastHeard : 0;
    if (lastHeard && (closed || silent > 6000)) showBanner(word("Old", { time: spell(silent) }), word("lost"));
    else if (said) showBanner(said.title, said.words);
    let kind = "live", text = word("live");
    if (closed) { kind = "reconnecting"; text = word("reconnecting") + (lastHeard ? ` · ${word("old", { time: spell(silent) })}` : ""); }
    else if (!lastHeard) { kind = "connecting"; text = word("connecting"); }
    else if (silent > 6000) { kind = "stale"; text = word("old", { time: spell(silent) }); }
    else if (note) { kind = "stale"; text = note; }
    state.dataset.live = kind;
    const shown = state.querySelector(".live-word");
    if (shown.textContent !== text) shown.textContent = text;
    state.title = text;
  }

  // A connection that carries nothing, as after a change of network, can stay open for minutes, and so can one that is
  // not answered: then htmx opens another. Each has longer than the one before, in case it is the server that is slow.
  function renew() {
    const late = link?.socket;
    if (!late || Math.abs(Date.now() - Math.max(lastHeard, triedAt)) < patience || late.readyState === WebSocket.CLOSED) return;
    patience = Math.min(2 * patience, MOST_SILENT_MS);
    late.dispatchEvent(new CloseEvent("close", { code: 1006 }));
    late.addEventListener("close", (event) => event.stopImmediatePropagation(), { capture: true, once: true });
  }
  document.addEventListener("htmx:ws:before:connection", (event) => { link = event.detail.connection; triedAt = Date.now(); });

  const here = () => ({ path: location.pathname + location.search, language: spoken });
  function say(message) {
    if (link?.socket?.readyState === WebSocket.OPEN) link.socket.send(JSON.stringify(message));
  }

  document.addEventListener("ganglion:say", (event) => say(event.detail));
  document.addEventListener("htmx:ws:after:connection", () => {
    closed = false; lastSeq = 0; triedAt = Date.now();
    say(here());
    showLive();
  });
  document.addEventListener("htmx:ws:close", (event) => {
    closed = true;
    if (GONE.includes(event.detail?.code) && performance.now() > 10000) { location.reload(); return; } // which says it in words
    showLive();
  });
  document.addEventListener("htmx:ws:before:message:incoming", (event) => {
    let frame;
    try { frame = JSON.parse(event.detail.message.data); } catch { return; }
    if (lastSeq && frame.seq > lastSeq + 1) say({ resync: true });
    lastSeq = frame.seq;
    lastHeard = Date.now(); patience = SILENT_MS; closed = false;
    if (frame.at) skew = frame.at - Date.now();
    if (frame.note !== undefined) {
      note = frame.note;
      said = { title: frame.title || "", words: frame.words || "" };
    }
    if (frame.count !== undefined) showCount(frame.count);
    if (frame.approvals !== undefined) showApprovals(frame.approvals);
    if (frame.leave) { location.assign(frame.leave); return; }
    showLive();
  });
  document.addEventListener("htmx:after:history:push", () => say(here()));
  document.addEventListener("htmx:after:history:replace", () => say(here()));

  /* --- new rows wait while somebody reads, points or works below them: nothing moves away from under a hand --- */
  let asking = false, letIn = false, steady = null;
  const pill = document.createElement("button");
  pill.type = "button"; pill.className = "button new-rows"; pill.hidden = true; pill.setAttribute("aria-live", "polite");
  document.body.append(pill);
  let moved = window.scrollY > 0; // measuring makes a browser lay out the page anew, so nothing is where nobody scrolled
  document.addEventListener("scroll", (event) => { moved = event.target !== document || window.scrollY > 0; }, { capture: true, passive: true });
  function isScrolled(body) {
    return moved && body.getBoundingClientRect().top < (document.querySelector(".topbar")?.offsetHeight || 0);
  }
  function isHeld(body) {
    return isScrolled(body) || body.matches(":hover, :focus-within") || body.querySelector("[data-cursor], :checked") !== null;
  }
  function keepSteady(body, next) {
    const rows = [...next.children];
    const first = rows.findIndex((row) => row.id && document.getElementById(row.id));
    const held = !asking && !letIn && first > 0 && isHeld(body) ? rows.slice(0, first) : [];
    for (const row of held) row.remove();
    letIn = false;
    steady = held.length ? body : null;
    pill.hidden = !held.length;
    if (held.length) pill.textContent = word("new_rows", { n: held.length });
  }
  function showNew() { letIn = true; pill.hidden = true; steady = null; say({ resync: true }); }
  pill.addEventListener("click", () => { window.scrollTo({ top: 0 }); showNew(); });
  document.addEventListener("htmx:before:request", () => { asking = true; });
  document.addEventListener("htmx:finally:request", () => { asking = false; });

  /* --- what a live update must leave alone ------------------------------------------ */
  htmx.registerExtension("console", {
    htmx_before_morph_node(element, detail) {
      // a shown time is told again by us; the server only knows UTC
      if (element.localName === "time" && element.dataset.time && element.dateTime === detail.newNode.dateTime) return false;
      if (element.matches("[data-steady]")) keepSteady(element, detail.newNode);
      return true;
    },
    htmx_before_morph_attr(element, detail) {
      const name = detail.attrName;
      if (name === "open" && (element.localName === "details" || element.localName === "dialog")) return false;
      if (name === "tabindex" && element.matches(".table-wrap, pre.code")) return false;
      if (name === "data-copied" || name === "data-cursor" || name === "aria-selected") return false;
      if (name === "checked" && element.localName === "input") return false;
      return true;
    },
  });
  document.addEventListener("htmx:after:swap", () => tellAll(document));
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) {
      if (node.nodeType !== 1) continue;
      if (node.matches("time[data-time]")) tell(node); else tellAll(node);
    }
  }).observe(document.documentElement, { childList: true, subtree: true });

  /* --- copying ids -------------------------------------------------------------------- */
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    event.preventDefault();
    const text = button.dataset.copy || document.getElementById(button.dataset.copyFrom)?.textContent || "";
    try { await navigator.clipboard.writeText(text); } catch { return; }
    button.setAttribute("data-copied", word("copied"));
    setTimeout(() => button.removeAttribute("data-copied"), 1200);
  });

  /* --- what can be undone until it is sent ---------------------------------------------- */
  function tellUndo() {
    const bar = document.getElementById("undo-bar");
    const until = bar?.querySelector("[data-until]");
    if (!until) return;
    const left = Math.ceil((Date.parse(until.dateTime) - Date.now() - skew) / 1000);
    if (left <= 0) { if (lastHeard) bar.remove(); } else until.textContent = word("in", { time: `${left} s` });
  }
  tellUndo();
  setInterval(tellUndo, 500);

  /* --- notes at the edge of the page, for a while --------------------------------------- */
  const TOAST_MS = 12000;
  function toast(tone, ...content) {
    const note = document.createElement("div");
    note.className = `notice toast tone-${tone}`;
    note.setAttribute("aria-live", "polite");
    note.append(...content);
    let stack = document.querySelector(".toasts");
    if (!stack) { stack = document.createElement("div"); stack.className = "toasts"; document.body.append(stack); }
    stack.append(note);
    setTimeout(() => note.remove(), TOAST_MS);
    return note;
  }
  window.ganglion.toast = toast;

  /* --- menus close by a click elsewhere and by Escape ---------------------------------- */
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  /* --- asking before what cannot be undone ------------------------------------------------ */
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-confirm]");
    const sheet = document.getElementById(button?.dataset.sheet || "confirm");
    if (!button || !sheet || button.dataset.confirmed) return;
    event.preventDefault();
    sheet.querySelector("[data-confirm-words]").textContent = button.dataset.confirm;
    const form = sheet.querySelector("form");
    if (form) { // a sheet of the page's own asks for more than yes, and sends itself
      form.action = button.formAction;
      sheet.showModal();
      return;
    }
    const yes = sheet.querySelector("[data-confirm-yes]");
    yes.textContent = button.dataset.confirmYes || button.textContent.trim();
    const asked = [button.formAction, button.dataset.confirm].join(); // a live update may make another button of it
    yes.onclick = () => {
      sheet.close();
      if (!button.isConnected || [button.formAction, button.dataset.confirm].join() !== asked) { toast("waiting", word("moot")); return; }
      button.dataset.confirmed = "1";
      button.click();
      delete button.dataset.confirmed;
    };
    sheet.showModal();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
    else if (event.target.localName === "dialog") event.target.close();
    const opener = event.target.closest("[data-open]");
    if (opener) { event.preventDefault(); document.getElementById(opener.dataset.open)?.showModal(); }
  });

  /* --- a form is sent once -------------------------------------------------------------------- */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => delete form.dataset.sent, 4000);
  });

  /* --- what scrolls can be scrolled by the keyboard --------------------------------------------- */
  const scrolls = (box) => box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
  let reaching = 0;
  function reach() { // with the next picture, for which everything is laid out in any case
    reaching ||= requestAnimationFrame(() => {
      reaching = 0;
      const boxes = [...document.querySelectorAll(".table-wrap, pre.code")];
      for (const [box, far] of boxes.map((box) => [box, scrolls(box)])) {
        if (far && box.tabIndex !== 0) box.tabIndex = 0;
        else if (!far && box.matches(".table-wrap[tabindex]")) box.removeAttribute("tabindex");
      }
    });
  }
  document.addEventListener("htmx:after:swap", reach);
  window.addEventListener("resize", reach);
  window.addEventListener("load", reach);

  document.documentElement.classList.add("js");
  for (const tab of document.querySelectorAll(".tabs [aria-current]")) { // on a phone it may lie beyond the edge
    const row = tab.parentElement;
    row.scrollLeft += tab.getBoundingClientRect().right + 24 - row.getBoundingClientRect().right;
  }
  tellAll(document);
  setInterval(() => { tellAll(document); renew(); showLive(); if (steady && !(steady.isConnected && isHeld(steady))) showNew(); }, 1000);
  showLive();
})();

/* The keyboard: / searches, Ctrl K opens the palette, j and k walk rows, single letters act, ? tells all of it.
   A letter clicks what carries it as data-key; on a list it acts on the current row. */
(() => {
  "use strict";
  const typing = (element) => element.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
  const palette = document.getElementById("palette");
  const help = document.getElementById("key-help");
  const shown = (element) => element.offsetParent !== null || element.getClientRects().length > 0;
  const keyed = (key) => [...document.querySelectorAll(`[data-key="${key}"]`)].find(shown);

  /* --- walking rows ---------------------------------------------------------- */
  const rows = () => [...document.querySelectorAll("[data-row]")].filter(shown);
  const current = () => rows().find((row) => row.hasAttribute("data-cursor"));
  const address = (row) => row.dataset.href || row.querySelector("a")?.href;
  function mark(row, on) {
    row.toggleAttribute("data-cursor", on);
    if (row.localName === "tr") row.setAttribute("aria-selected", String(on));
  }
  function walk(step) {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => row.hasAttribute("data-cursor"));
    const next = now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + step));
    for (const row of all) if (row.hasAttribute("data-cursor")) mark(row, false);
    mark(all[next], true);
    all[next].scrollIntoView({ block: "nearest" });
    (all[next].querySelector("a") || all[next]).focus({ preventScroll: true });
  }
  function open(row, action) {
    const where = row && address(row);
    if (!where) return;
    const target = new URL(where, location.href);
    if (action) { target.searchParams.set("action", action); target.searchParams.set(action === "retry" ? "send" : "focus", "1"); }
    location.assign(target);
  }

  /* --- one escalation: the letters of its tabs ---------------------------------- */
  const form = document.getElementById("repair-form");
  const ACTIONS = { r: "retry", e: "edit", s: "supply" };
  function toForm() {
    const first = [...form.querySelectorAll("input, select, textarea")].find((field) => field.type !== "hidden" && shown(field));
    first?.focus();
    first?.scrollIntoView({ block: "center" });
  }
  function act(key) {
    const row = current();
    if (!form || (row && !row.classList.contains("on"))) { open(row, ACTIONS[key]); return; }
    const tab = document.querySelector(`[data-action-key="${key}"]`);
    if (!tab) return;
    const here = tab.hasAttribute("aria-current");
    if (here && key === "r") send();
    else if (here) toForm();
    else location.assign(`${tab.href.split("#")[0]}&${key === "r" ? "send" : "focus"}=1`);
  }
  function send() {
    (form.querySelector("[data-then]") || form.querySelector("[data-primary]")).click();
  }
  if (form) {
    const asked = new URLSearchParams(location.search);
    if (asked.has("focus") || asked.has("send")) {
      const there = new URL(location.href);
      there.searchParams.delete("focus");
      there.searchParams.delete("send");
      history.replaceState(history.state, "", there);
    }
    if (asked.has("focus")) toForm();
    if (asked.has("send")) form.querySelector("[data-primary]").focus();
  }

  /* --- the palette ------------------------------------------------------------- */
  const input = palette?.querySelector("input");
  const list = palette?.querySelector("[data-palette-list]");
  const search = palette?.querySelector("[data-palette-search]");
  const RECENT = "ganglion.recent";
  function recent() {
    try { return JSON.parse(localStorage.getItem(RECENT) || "[]"); } catch { return []; }
  }
  const visited = /^\/workflows\/([A-Za-z0-9_.-]+)\/$/.exec(location.pathname);
  if (visited) {
    const title = document.querySelector("main h1")?.textContent.trim().replace(/\s+/g, " ").slice(0, 80) || visited[1];
    const kept = [{ href: location.pathname, title, id: visited[1] }, ...recent().filter((one) => one.href !== location.pathname)];
    try { localStorage.setItem(RECENT, JSON.stringify(kept.slice(0, 8))); } catch { /* storage is off */ }
  }
  function entry(icon, text, note) {
    const made = document.createElement("a");
    made.className = "menu-item";
    made.innerHTML = icon?.outerHTML || "";
    const words = document.createElement("span");
    words.textContent = text;
    made.append(words);
    if (note) {
      const more = document.createElement("kbd");
      more.textContent = note;
      made.append(more);
    }
    made.dataset.made = "1";
    return made;
  }
  function fill() {
    for (const old of list.querySelectorAll("[data-made]")) old.remove();
    const icon = search?.querySelector("svg");
    const before = list.firstElementChild;
    for (const button of document.querySelectorAll("main [data-key], main [data-action-key], .undo-bar [data-key]")) {
      const key = button.dataset.key || button.dataset.actionKey;
      const words = [...button.childNodes].filter((node) => node.localName !== "kbd").map((node) => node.textContent).join("").trim();
      if (!shown(button) || !words) continue;
      const made = entry(button.querySelector("svg"), words, key);
      made.href = "#";
      made.addEventListener("click", (event) => { event.preventDefault(); palette.close(); button.click(); });
      list.insertBefore(made, before);
    }
    for (const one of recent()) {
      if (typeof one.href !== "string" || !/^\/workflows\/[A-Za-z0-9_.-]+\/$/.test(one.href)) continue;
      const made = entry(icon, `${one.title} · ${one.id}`);
      made.href = one.href;
      list.insertBefore(made, search);
    }
  }
  const entries = () => [...list.querySelectorAll("a")];
  function filter() {
    const words = input.value.trim().toLowerCase();
    let first = null;
    for (const one of entries()) {
      const hit = one === search ? words !== "" : one.textContent.toLowerCase().includes(words);
      one.hidden = !hit;
      one.toggleAttribute("data-chosen", false);
      if (hit && !first) first = one;
    }
    if (search) {
      search.href = `${search.dataset.href}?q=${encodeURIComponent(input.value.trim())}`;
      search.querySelector("span").textContent = ganglion.word("search", { text: input.value.trim() });
    }
    first?.toggleAttribute("data-chosen", true);
  }
  function openPalette() {
    if (!palette || palette.open) return;
    input.value = "";
    fill();
    filter();
    palette.showModal();
    input.focus();
  }
  input?.addEventListener("input", filter);
  input?.addEventListener("keydown", (event) => {
    const all = entries().filter((one) => !one.hidden);
    const now = all.findIndex((one) => one.hasAttribute("data-chosen"));
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = (now + (event.key === "ArrowDown" ? 1 : -1) + all.length) % all.length;
      all.forEach((one, i) => one.toggleAttribute("data-chosen", i === next));
      all[next]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      all[now]?.click();
    }
  });
  for (const opener of document.querySelectorAll("[data-palette]")) opener.addEventListener("click", openPalette);

  /* --- signing out leaves nothing in this browser ---------------------------------- */
  document.addEventListener("submit", (event) => {
    if (!event.target.getAttribute("action")?.endsWith("/logout/")) return;
    try {
      for (const name of Object.keys(localStorage)) if (name.startsWith("ganglion.")) localStorage.removeItem(name);
    } catch { /* storage is off */ }
  });

  document.addEventListener("keydown", (event) => {
    const key = event.key;
    if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "k") { event.preventDefault(); openPalette(); return; }
    if (event.ctrlKey && key === "Enter") {
      const within = event.target.closest?.("form");
      if (document.querySelector("dialog[open]") && !within?.closest("dialog")) return;
      const primary = within?.querySelector("[data-then]") || within?.querySelector("[data-primary]");
      if (primary) { event.preventDefault(); primary.click(); }
      else if (form && !within) { event.preventDefault(); send(); }
      return;
    }
    if (key === "Escape" && typing(event.target)) { event.target.blur(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    const row = current();
    if (key === "/") {
      const box = [...document.querySelectorAll("main [data-search]"), ...document.querySelectorAll("[data-search]")].find(shown);
      if (box) { event.preventDefault(); box.focus(); box.select(); }
    } else if (key === "j") walk(1);
    else if (key === "k") walk(-1);
    else if (key === "?") { event.preventDefault(); help?.showModal(); }
    else if (key === "Enter" && row && (event.target === document.body || row.contains(event.target)) && !event.target.closest("button, input, summary")) {
      event.preventDefault();
      open(row);
    } else if (key === "x" && row) row.querySelector("input[type=checkbox]")?.click();
    else if (key in ACTIONS && (form || row)) { event.preventDefault(); act(key); }
    else if (/^[a-z]$/.test(key)) {
      const target = (row && row.querySelector(`[data-${key === "c" ? "claim" : "none"}]`)) || keyed(key);
      if (target) { event.preventDefault(); target.click(); if (document.contains(target)) target.focus(); }
      else if (key === "c") open(row);
    }
  });
})();

/* The keyboard: / searches, Ctrl K opens the palette, j and k walk a list, Enter opens, ? tells all of it. */
(() => {
  "use strict";
  const typing = (element) => element.closest?.("input, textarea, select, [contenteditable]");
  const palette = document.getElementById("palette");
  const help = document.getElementById("key-help");

  /* --- walking rows ---------------------------------------------------------- */
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent);
  function walk(step) {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => row.hasAttribute("data-cursor"));
    const next = Math.min(all.length - 1, Math.max(0, now + step));
    if (now >= 0) all[now].removeAttribute("data-cursor");
    all[next].setAttribute("data-cursor", "");
    all[next].scrollIntoView({ block: "nearest" });
    all[next].querySelector("a")?.focus({ preventScroll: true });
  }

  /* --- the palette ------------------------------------------------------------- */
  const input = palette?.querySelector("input");
  const list = palette?.querySelector("[data-palette-list]");
  const entries = list ? [...list.querySelectorAll("a")] : [];
  const search = palette?.querySelector("[data-palette-search]");
  function filter() {
    const words = input.value.trim().toLowerCase();
    let first = null;
    for (const entry of entries) {
      const hit = entry === search ? words !== "" : entry.textContent.toLowerCase().includes(words);
      entry.hidden = !hit;
      entry.setAttribute("aria-selected", "false");
      if (hit && !first) first = entry;
    }
    if (search) {
      search.href = `${search.dataset.href}?q=${encodeURIComponent(input.value.trim())}`;
      search.querySelector("span").textContent = `Search workflows for “${input.value.trim()}”`;
    }
    first?.setAttribute("aria-selected", "true");
  }
  function openPalette() {
    if (!palette || palette.open) return;
    input.value = "";
    filter();
    palette.showModal();
    input.focus();
  }
  input?.addEventListener("input", filter);
  input?.addEventListener("keydown", (event) => {
    const shown = entries.filter((entry) => !entry.hidden);
    const now = shown.findIndex((entry) => entry.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = (now + (event.key === "ArrowDown" ? 1 : -1) + shown.length) % shown.length;
      shown.forEach((entry, i) => entry.setAttribute("aria-selected", String(i === next)));
      shown[next]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (shown[now]) location.assign(shown[now].href);
    }
  });
  for (const opener of document.querySelectorAll("[data-palette]")) opener.addEventListener("click", openPalette);

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openPalette(); return; }
    if (event.ctrlKey && event.key === "Enter") {
      const form = event.target.closest?.("form");
      const primary = form?.querySelector("[data-primary]");
      if (primary) { event.preventDefault(); primary.click(); }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "/") {
      const box = [...document.querySelectorAll("main [data-search]"), ...document.querySelectorAll("[data-search]")].find((element) => element.offsetParent);
      if (box) { event.preventDefault(); box.focus(); box.select(); }
    } else if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
    else if (event.key === "?") { event.preventDefault(); help?.showModal(); }
    else if (event.key === "n" || event.key === "p") document.querySelector(`[data-key="${event.key}"]`)?.click();
    else if (event.key === "e") {
      const first = document.querySelector("#repair form :is(input, select, textarea):not([type=hidden])");
      if (first) { event.preventDefault(); first.focus(); first.scrollIntoView({ block: "center" }); }
    } else if (event.key === "c") {
      const target = document.querySelector(`[data-key="${event.key}"]`);
      if (target) { event.preventDefault(); target.click(); target.focus(); }
    }
  });
})();

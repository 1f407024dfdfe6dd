/* Messages to browsers: a note at the edge of the page, and one of the system where the reader allowed it.
   Every open page shows each message once, save those that show what it is about anyway; the server hears
   of the first that did. */
(() => {
  "use strict";
  const EVERY_MS = 10000, KEPT = 60, ONE_BY_ONE = 2;
  const key = "ganglion-notices";
  const token = () => JSON.parse(document.body.getAttribute("hx-headers:inherited") || "{}")["X-CSRFToken"] || "";
  const known = () => { try { return JSON.parse(localStorage.getItem(key)) || []; } catch { return []; } };
  const uuid = (hex) => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

  function show(message) {
    const link = document.createElement(message.href ? "a" : "span");
    link.textContent = message.title;
    if (message.href) link.href = message.href;
    const close = document.createElement("button");
    close.className = "button button-quiet button-small"; close.type = "button"; close.textContent = ganglion.word("close");
    const note = ganglion.toast(message.tone, link, close);
    close.addEventListener("click", () => note.remove());
    if (window.Notification && Notification.permission === "granted") {
      const shown = new Notification("Ganglion", { body: message.title, tag: message.id });
      shown.onclick = () => { window.focus(); if (message.href) location.assign(message.href); };
    }
  }

  async function look() {
    let found;
    try {
      const answer = await fetch("/notices/fresh.json", { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) return;
      found = (await answer.json()).messages;
    } catch { return; }
    if (document.hidden && !(window.Notification && Notification.permission === "granted")) return; // nobody would see it here
    const seen = known();
    const fresh = found.filter((one) => !seen.includes(one.id));
    if (!fresh.length) return;
    localStorage.setItem(key, JSON.stringify([...seen, ...fresh.map((one) => one.id)].slice(-KEPT)));
    const shown = fresh.filter((one) => !one.over && (document.hidden || !location.pathname.startsWith(one.page)));
    if (shown.length <= ONE_BY_ONE) shown.forEach(show);
    else show({ ...shown[0], title: ganglion.word("notices", { n: shown.length }), href: "/notices/" });
    for (const message of fresh) {
      fetch(`/notices/messages/${uuid(message.id)}/seen/`, { method: "POST", headers: { "X-CSRFToken": token() } }).catch(() => {});
    }
  }

  const ask = document.querySelector("[data-notify]");
  if (ask && window.Notification && Notification.permission === "default") {
    ask.hidden = false;
    ask.addEventListener("click", async () => { await Notification.requestPermission(); ask.hidden = true; });
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  setInterval(look, EVERY_MS);
  look();
})();

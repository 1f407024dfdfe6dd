/* The form of one escalation: drafts that survive, what changes, who works on it, a claim that lasts while one works.
   The form works without any of this. */
(() => {
  "use strict";
  // a page that answers a form shows the escalation's own address: it stays live, and a reload sends nothing again
  const page = document.querySelector("[data-page]").dataset.page;
  const form = document.getElementById("repair-form");
  if (location.pathname !== page) history.replaceState(history.state, "", page + (form ? `?action=${form.elements.action.value}` : ""));
  const place = `ganglion.draft.${page}`;
  const word = document.getElementById("draft-state");

  /* --- no form: a decision waits, and the page is read again when it no longer does; or it is over ---- */
  if (!form) {
    const waits = () => document.querySelector("#held, #needs-approval");
    const typing = () => [...document.querySelectorAll("textarea")].some((field) => field.value !== field.defaultValue); // a comment, say
    const again = () => { if (!waits() && !typing()) location.reload(); };
    if (waits()) { document.addEventListener("htmx:after:swap", again); setInterval(again, 2000); }
    else try { localStorage.removeItem(place); } catch { /* storage is off */ }
    return;
  }

  const typed = () => [...form.elements].filter((field) => field.name && /^(value|comment)/.test(field.name));
  const action = form.elements.action.value;
  let dirty = false, timer = 0, workedAt = 0, presence = "";

  function keepHere() {
    const fields = {};
    for (const field of typed()) if (!/pass|secret|token|key|credential|otp|pin$/i.test(field.name)) fields[field.name] = field.type === "checkbox" ? field.checked : field.value;
    try { localStorage.setItem(place, JSON.stringify({ action, fields, at: Date.now() })); } catch { /* storage is off */ }
  }

  async function save() {
    clearTimeout(timer);
    if (!dirty) return;
    dirty = false;
    let answer;
    try { answer = await fetch(form.dataset.draft, { method: "POST", body: new FormData(form) }); } catch { answer = null; }
    if (answer?.ok && !answer.redirected) {
      const changes = await answer.text();
      document.getElementById("esc-diff").innerHTML = changes;
      if (!dirty) { try { localStorage.removeItem(place); } catch { /* storage is off */ } word.textContent = ganglion.word("kept"); }
    } else {
      word.textContent = ganglion.word("kept_here");
    }
  }

  function worked() {
    workedAt = Date.now();
    if (presence !== "editing") say("editing");
  }
  function say(mode) {
    presence = mode;
    document.dispatchEvent(new CustomEvent("ganglion:say", { detail: { presence: mode } }));
  }
  form.addEventListener("input", () => {
    dirty = true;
    keepHere();
    worked();
    clearTimeout(timer);
    timer = setTimeout(save, 500);
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden) save(); });

  /* --- what this browser kept when the server could not ------------------------- */
  try {
    const kept = JSON.parse(localStorage.getItem(place) || "null");
    if (kept && kept.action === action && Date.now() - kept.at < 86400000) {
      for (const field of typed()) {
        if (!(field.name in kept.fields)) continue;
        if (field.type === "checkbox") field.checked = kept.fields[field.name]; else field.value = kept.fields[field.name];
      }
      dirty = true;
      word.textContent = ganglion.word("draft_back");
      timer = setTimeout(save, 500);
    }
  } catch { /* storage is off, or holds something else */ }

  /* --- the claim: the form goes on under a new one, and an own one is renewed ------ */
  const claim = () => document.getElementById("claim");
  function followClaim() {
    const now = claim();
    if (now?.dataset.mine) form.elements.fence.value = now.dataset.fence;
  }
  document.addEventListener("htmx:after:swap", followClaim);
  followClaim();
  document.addEventListener("htmx:ws:after:connection", () => say(Date.now() - workedAt < 60000 ? "editing" : "viewing"));
  let renewedAt = Date.now();
  setInterval(async () => {
    if (presence === "editing" && Date.now() - workedAt > 60000) say("viewing");
    if (!claim()?.dataset.mine || workedAt < renewedAt || Date.now() - renewedAt < 60000) return;
    renewedAt = Date.now();
    const body = new FormData();
    body.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    body.set("fence", form.elements.fence.value);
    try { await fetch(form.dataset.renew, { method: "POST", body }); } catch { /* the page says when the claim ends */ }
  }, 5000);
})();

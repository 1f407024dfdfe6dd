/* Ticking rows for bulk actions, and the address that a saved view keeps. Without it the ticked rows are sent just the same. */
(() => {
  "use strict";

  function show() {
    const ticks = [...document.querySelectorAll("[data-pick]")];
    const count = ticks.filter((box) => box.checked).length;
    const every = document.querySelector("[data-pick-every]");
    for (const box of document.querySelectorAll("[data-pick-page]")) {
      box.checked = count > 0 && count === ticks.length;
      box.indeterminate = count > 0 && count < ticks.length;
    }
    const words = document.querySelector("[data-pick-words]");
    if (!words) return;
    const said = every?.checked ? ganglion.word("all", every.dataset) : ganglion.word("selected", { n: count });
    if (words.textContent !== said) words.textContent = said;
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-page]")) {
      for (const box of document.querySelectorAll("[data-pick]")) box.checked = event.target.checked;
    }
    if (event.target.matches("[data-pick], [data-pick-page]") && !event.target.checked) {
      const every = document.querySelector("[data-pick-every]");
      if (every) every.checked = false;
    }
    show();
  });
  document.addEventListener("htmx:after:swap", show);
  document.addEventListener("submit", (event) => {
    const here = event.target.querySelector("[data-here]");
    if (here) here.value = location.search.replace(/^\?/, "");
  });
  show();
})();

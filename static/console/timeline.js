/* The timeline follows its live edge while “Follow now” is on, and keeps its place when it is off. */
(() => {
  "use strict";
  let following = false;
  const place = () => document.getElementById("tl-scroll");
  function edge() { const at = place(); if (following && at) at.scrollLeft = at.scrollWidth; }
  function show() {
    for (const button of document.querySelectorAll("[data-follow]")) {
      button.setAttribute("aria-pressed", String(following));
      button.classList.toggle("on", following);
    }
    edge();
  }
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-follow]")) return;
    following = !following;
    show();
  });
  document.addEventListener("wheel", (event) => {
    if (following && event.target.closest("#tl-scroll") && event.deltaX < 0) { following = false; show(); }
  }, { passive: true });
  document.addEventListener("htmx:after:swap", show);
})();

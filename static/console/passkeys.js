/* Passkeys: what the server asks is shown to the browser, and its answer is sent as a form. */
(() => {
  "use strict";
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;

  function send(form, credential) {
    form.querySelector("[name=credential]").value = JSON.stringify(credential.toJSON());
    form.submit();
  }
  function say(form, words) {
    const place = form.querySelector("[data-passkey-fault]");
    if (place) { place.textContent = words; place.hidden = false; }
  }
  const words = JSON.parse(document.getElementById("words").textContent);
  async function show(options) {
    return navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options.publicKey ?? options) });
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        if (form.dataset.passkey === "make") {
          const asked = await fetch(form.dataset.options, { method: "POST", body: new FormData(form) });
          const options = await asked.json();
          if (!asked.ok) { say(form, options.message); return; }
          send(form, await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options.publicKey ?? options) }));
        } else if (form.dataset.passkey === "second") {
          send(form, await show(JSON.parse(document.getElementById("passkey-options").textContent)));
        } else {
          send(form, await show(await (await fetch(form.action)).json()));
        }
      } catch (error) {
        say(form, error.name === "NotAllowedError" ? words.dismissed : words.refuses.replace("{error}", error.message));
      }
    });
  }
})();

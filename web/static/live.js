// Keeps a page fresh: fetches it again and puts the new #live in place of the old one. Without this script the page
// reloads itself. When the server does not answer, the page says so: old figures must not look like new ones.
"use strict";
(() => {
  const every = 1000 * Number(document.currentScript.dataset.every || 15);
  const stale = document.getElementById("stale");
  let failed = 0;
  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(10000) });
      if (answer.redirected) return location.reload();
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      const live = document.getElementById("live");
      const busy = live.contains(document.activeElement) && document.activeElement !== document.body;
      if (fresh && !busy) {
        const opened = new Set([...live.querySelectorAll("details[open]")].map((one) => one.id));
        for (const one of fresh.querySelectorAll("details")) if (opened.has(one.id)) one.open = true;
        live.replaceChildren(...fresh.childNodes);
      }
      failed = 0;
    } catch {
      failed += 1;
    }
    if (stale) stale.hidden = failed < 2;
  }
  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
})();

// Keeps the touch page loadable while the kiosk is away (browsers allow it over TLS and on the kiosk itself). The page is
// always asked for first; presses and events are never answered from here.
"use strict";
const CACHE = "touch-" + FILES.join("|");

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(["./", ...FILES])).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys().then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)))).then(() => self.clients.claim()),
  );
});
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET" || event.request.url.endsWith("/events") || event.request.url.includes("/prompts/")) return;
  event.respondWith(
    fetch(event.request).then((answer) => {
      if (answer.ok) { const copy = answer.clone(); caches.open(CACHE).then((cache) => cache.put(event.request, copy)); }
      return answer;
    }).catch(() => caches.match(event.request, { ignoreSearch: event.request.mode === "navigate" })),
  );
});

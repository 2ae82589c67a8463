// The touch page: shows pictures, keeps every press until the kiosk has it on disk.
//
// A press is written to IndexedDB first (durability "strict": flushed to the device), then sent, and removed only when the
// kiosk has answered that it is stored. Its name (client, boot, seq) is fixed at the touch, so sending it again is safe.
// Thanks are shown when the press is safe in either place, and never differ between the answers.
"use strict";

const start = JSON.parse(document.getElementById("start").textContent);
const byId = (id) => document.getElementById(id);
const base = location.pathname.endsWith("/") ? location.pathname : location.pathname + "/";
const hex = (bytes) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
const AWAY_MS = 15000, SEND_MS = 3000, BUSY_MS = 400;

let client = localStorage.getItem("client");
if (!client) { client = hex(6); localStorage.setItem("client", client); }
const boot = hex(4).toUpperCase();
let seq = 0, heard = Date.now(), shown = start.picture, localUntil = 0, lastPress = "", busyUntil = 0;

/* ---- presses kept by the browser ---- */

const opening = new Promise((resolve, reject) => {
  const request = indexedDB.open("presses", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("presses", { keyPath: "name" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function inStore(mode, work) {
  const store = await opening;
  return new Promise((resolve, reject) => {
    const transaction = store.transaction("presses", mode, { durability: "strict" });
    const request = work(transaction.objectStore("presses"));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

const keep = (press) => inStore("readwrite", (presses) => presses.put(press));
const forget = (name) => inStore("readwrite", (presses) => presses.delete(name));
const kept = () => inStore("readonly", (presses) => presses.getAll());

/* ---- to the kiosk ---- */

async function post(path, body) {
  return fetch(base + path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    signal: AbortSignal.timeout(SEND_MS), cache: "no-store",
  });
}

async function offer(press) {
  const { client, boot, seq, level, levels, at } = press;
  const answer = await post("presses", { client, boot, seq, level, levels, age_ms: Math.max(0, Date.now() - at) });
  if (answer.ok || answer.status === 400) await forget(press.name); // 400: no kiosk will ever take it
  if (!answer.ok) throw new Error(`the kiosk answered ${answer.status}`);
}

let sending = false;
async function sendKept() {
  if (sending) return;
  sending = true;
  try {
    const waiting = await kept();
    waiting.sort((one, other) => one.at - other.at);
    for (const press of waiting) await offer(press);
    document.body.dataset.waiting = String((await kept()).length);
  } catch (error) {
    console.info("presses wait for the kiosk:", error.message);
  } finally {
    sending = false;
  }
}

async function touch(level, levels) {
  if (Date.now() < busyUntil) return; // a trembling finger touches twice
  busyUntil = Date.now() + BUSY_MS;
  seq += 1;
  const press = { name: `${client}/${boot}/${seq}`, client, boot, seq, level, levels, at: Date.now() };
  lastPress = `touch-${press.name}`;
  const saved = keep(press).then(() => true, () => false);
  const sent = offer(press).then(() => true, () => false);
  chime();
  if (await sent) return;
  document.body.dataset.waiting = "1";
  if (await saved) thankHere();
  else showTrouble();
}

function thankHere() {
  localUntil = Date.now() + start.thanks_s * 1000;
  draw({ ...shown, view: "thanks", headline: start.thanks[shown.language] || start.thanks.vi, note: "" });
  setTimeout(() => { if (Date.now() >= localUntil) { localUntil = 0; draw(idle()); } }, start.thanks_s * 1000 + 20);
}

const idle = () => ({ ...shown, view: shown.view === "closed" ? "closed" : "idle", headline: shown.question, note: "" });

function showTrouble() {
  byId("trouble").hidden = false;
  byId("trouble").textContent = shown.trouble || "⚠";
}

/* ---- sound ---- */

let audio;
function chime() { // alike for every answer: the vote is secret
  try {
    audio ??= new AudioContext();
    const tone = audio.createOscillator(), volume = audio.createGain(), now = audio.currentTime;
    tone.frequency.setValueAtTime(880, now); tone.frequency.setValueAtTime(1175, now + .09);
    volume.gain.setValueAtTime(.18, now); volume.gain.exponentialRampToValueAtTime(.001, now + .3);
    tone.connect(volume).connect(audio.destination); tone.start(now); tone.stop(now + .3);
  } catch { /* a device without sound still shows the picture */ }
}

let speaking;
function speak(prompt) {
  if (!start.sounds) return;
  speaking?.pause();
  speaking = new Audio(`${base}prompts/${prompt.language}/${prompt.name}.wav`);
  speaking.play().catch(() => {});
}

/* ---- pictures ---- */

function icon(id) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", document.getElementById(id) ? `#${id}` : "#icon-other");
  svg.append(use);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

function button(className, iconId, word, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = className;
  const text = document.createElement("span");
  text.textContent = word;
  made.append(icon(iconId), text);
  made.addEventListener("click", press);
  return made;
}

function draw(picture) {
  document.documentElement.lang = picture.language;
  document.body.className = picture.view;
  byId("counter").textContent = picture.counter;
  byId("clock").textContent = picture.clock;
  byId("headline").textContent = picture.headline;
  byId("note").textContent = picture.note;
  byId("network").hidden = !picture.network;
  byId("network").textContent = picture.network;
  byId("trouble").hidden = !picture.trouble;
  byId("trouble").textContent = picture.trouble;
  const signs = { thanks: "sign-thanks", closed: "sign-closed" };
  const sign = signs[picture.view];
  byId("sign").toggleAttribute("hidden", !sign);
  if (sign) byId("sign").firstElementChild.setAttribute("href", `#${sign}`);
  // A touch page has its own buttons: a panel that is unplugged is no reason to take no answer here.
  const asks = picture.view === "idle" || picture.view === "no-panel";
  if (picture.view === "no-panel") { byId("headline").textContent = picture.question; byId("note").textContent = ""; }
  byId("levels").hidden = !asks;
  byId("levels").replaceChildren(...(asks ? picture.levels.map((each) =>
    button(`face-${each.face}`, `face-${each.face}`, each.word, () => touch(each.level, picture.levels.length))) : []));
  const reasons = picture.view === "reasons";
  byId("reasons").hidden = byId("skip").hidden = !reasons;
  byId("skip").textContent = picture.skip;
  byId("reasons").replaceChildren(...(reasons ? picture.reasons.map((each) =>
    button("", `icon-${each.icon}`, each.word, () => post("reasons", { press: lastPress, reason: each.id }).catch(() => draw(idle())))) : []));
  for (const each of byId("languages").children) each.setAttribute("aria-pressed", String(each.dataset.language === picture.language));
}

function show(picture) {
  shown = picture;
  if (Date.now() >= localUntil) { localUntil = 0; draw(picture); }
}

let events;
function listen() {
  events?.close();
  events = new EventSource(base + "events");
  const alive = (act) => (event) => { heard = Date.now(); document.body.dataset.away = "no"; act?.(JSON.parse(event.data)); };
  events.addEventListener("picture", alive((picture) => { show(picture); sendKept(); }));
  events.addEventListener("prompt", alive(speak));
  events.addEventListener("ping", alive());
}

byId("skip").addEventListener("click", () => post("skip", {}).catch(() => draw(idle())));
for (const each of byId("languages").children) {
  each.addEventListener("click", () => post("language", { language: each.dataset.language }).catch(() => {}));
}
setInterval(() => {
  if (Date.now() - heard > AWAY_MS) {
    document.body.dataset.away = "yes";
    heard = Date.now();
    listen(); // a browser gives up on a stream that was refused
  }
  sendKept();
}, 2000);
addEventListener("contextmenu", (event) => event.preventDefault());
if ("serviceWorker" in navigator) navigator.serviceWorker.register(base + "worker.js", { scope: base }).catch(() => {});
draw(shown);
listen();
sendKept();

// The touch page: shows pictures, keeps every press until the kiosk has it on disk.
//
// A press is written to IndexedDB first (durability "strict": flushed to the device), then sent, and removed only when the
// kiosk has answered that it is stored. Its name (client, boot, seq) is fixed at the touch, so sending it again is safe.
// Thanks and chime come when the press is safe in either place, and never differ between the answers. A browser that keeps
// nothing (private mode, a full disk) holds presses in memory and offers them all the same, but is not thanked for that.
"use strict";

const start = JSON.parse(document.getElementById("start").textContent);
const byId = (id) => document.getElementById(id);
const base = location.pathname.endsWith("/") ? location.pathname : location.pathname + "/";
const hex = (bytes) => Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
const AWAY_MS = 15000, SEND_MS = 3000, BUSY_MS = 400, SHOWN_WITHIN_MS = 400, UNSURE_MS = 1000;
const LONGEST_AGE_MS = 31 * 86400000; // what the kiosk takes

function named() { // the page's own name; a browser that keeps nothing has a new one at each load
  try {
    const client = localStorage.getItem("client") || hex(6);
    localStorage.setItem("client", client);
    return client;
  } catch { return hex(6); }
}
const client = named();
const boot = hex(4).toUpperCase();
let seq = 0, pictures = 0, heard = performance.now(), shown = start.picture, localUntil = 0, lastPress = "", busyUntil = 0; // times by the page's timer: the tablet's clock may be set

/* ---- presses kept by the browser ---- */

const inMemory = new Map();
const opening = new Promise((resolve, reject) => {
  const request = indexedDB.open("presses", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("presses", { keyPath: "name" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = request.onblocked = () => reject(request.error || new Error("the store is blocked"));
});
opening.catch((error) => console.info("this browser keeps no presses:", error.message));

async function inStore(mode, work) {
  const store = await opening;
  return new Promise((resolve, reject) => {
    const transaction = store.transaction("presses", mode, { durability: "strict" });
    const request = work(transaction.objectStore("presses"));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

async function keep(press) {
  inMemory.set(press.name, press);
  await inStore("readwrite", (presses) => presses.put(press));
  inMemory.delete(press.name);
}
async function forget(name) {
  inMemory.delete(name);
  await inStore("readwrite", (presses) => presses.delete(name)).catch(() => {}); // offered again, it is stored once
}
async function kept() {
  const stored = await inStore("readonly", (presses) => presses.getAll()).catch(() => []);
  return [...stored, ...[...inMemory.values()].filter((press) => !stored.some((one) => one.name === press.name))];
}

/* ---- to the kiosk ---- */

async function post(path, body) {
  return fetch(base + path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    signal: AbortSignal.timeout(SEND_MS), cache: "no-store",
  });
}

// How old a press is: by this load's own timer where it is of this load, since the tablet's clock may be set meanwhile. Of
// another load there is only that clock, and the timer may stop while the tablet sleeps: then the age is marked as unsure.
function ageOf(press) {
  const timed = performance.now() - press.timer, dated = Date.now() - press.at, ours = press.boot === boot;
  const age = Math.round(Math.min(Math.max(0, ours ? timed : dated), LONGEST_AGE_MS));
  return { age_ms: age, age_unsure: !ours || Math.abs(timed - dated) > UNSURE_MS };
}

const refused = new Set(); // not understood (a page and a kiosk of two versions): kept, and offered again at the next load
async function offer(press) {
  const { client, boot, seq, level, levels } = press;
  const answer = await post("presses", { client, boot, seq, level, levels, ...ageOf(press) });
  if (answer.status === 400) refused.add(press.name);
  if (!answer.ok) throw new Error(`the kiosk answered ${answer.status}`);
  await forget(press.name);
}

let sending = false;
async function sendKept() {
  if (sending) return;
  sending = true;
  try {
    const waiting = (await kept()).filter((press) => !refused.has(press.name));
    waiting.sort((one, other) => one.at - other.at);
    for (const press of waiting) {
      try { await offer(press); } catch (error) { if (!refused.has(press.name)) throw error; }
    }
  } catch (error) {
    console.info("presses wait for the kiosk:", error.message);
  } finally {
    document.body.dataset.waiting = String((await kept()).length);
    sending = false;
  }
}

async function touch(level, levels) {
  if (performance.now() < busyUntil) return; // a trembling finger touches twice
  busyUntil = performance.now() + BUSY_MS;
  seq += 1;
  const press = { name: `${client}/${boot}/${seq}`, client, boot, seq, level, levels, at: Date.now(), timer: performance.now() };
  lastPress = `touch-${press.name}`;
  const touched = pictures;
  const saved = keep(press).then(() => true, () => false);
  const sent = offer(press).then(() => true, () => false);
  first(saved, sent).then((safe) => safe && chime());
  if (await sent) {
    // The kiosk's own picture follows at once; where it does not (its stream is down), the citizen is thanked all the same.
    await new Promise((resolve) => setTimeout(resolve, SHOWN_WITHIN_MS));
    if (pictures === touched) thankHere();
    return;
  }
  document.body.dataset.waiting = "1";
  if (await saved) thankHere();
  else showTrouble();
}

// True as soon as one of two promises is true, false when both are false.
const first = (one, other) => Promise.any([one, other].map((each) => each.then((true_) => true_ || Promise.reject()))).catch(() => false);

function thankHere() {
  localUntil = performance.now() + start.thanks_s * 1000;
  draw({ ...shown, view: "thanks", headline: start.thanks[shown.language] || start.thanks.vi, note: "" });
  setTimeout(() => { if (performance.now() >= localUntil) { localUntil = 0; draw(idle()); } }, start.thanks_s * 1000 + 20);
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
  // Whoever touched the wrong face can touch another: the answers stay, small, below the thanks.
  const answers = asks || picture.view === "thanks";
  byId("levels").hidden = !answers;
  byId("levels").replaceChildren(...(answers ? picture.levels.map((each) =>
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
  pictures += 1;
  if (performance.now() >= localUntil) { localUntil = 0; draw(picture); }
}

let events;
function listen() {
  events?.close();
  events = new EventSource(`${base}events?client=${client}`);
  const alive = (act) => (event) => { heard = performance.now(); document.body.dataset.away = "no"; act?.(JSON.parse(event.data)); };
  events.addEventListener("picture", alive((picture) => { show(picture); sendKept(); }));
  events.addEventListener("prompt", alive(speak));
  events.addEventListener("ping", alive());
}

byId("skip").addEventListener("click", () => post("skip", {}).catch(() => draw(idle())));
for (const each of byId("languages").children) {
  each.addEventListener("click", () => post("language", { language: each.dataset.language }).catch(() => {}));
}
setInterval(() => {
  if (performance.now() - heard > AWAY_MS) {
    document.body.dataset.away = "yes";
    heard = performance.now();
    listen(); // a browser gives up on a stream that was refused
  }
  sendKept();
}, 2000);
addEventListener("contextmenu", (event) => event.preventDefault());
if ("serviceWorker" in navigator) navigator.serviceWorker.register(base + "worker.js", { scope: base }).catch(() => {});
draw(shown);
listen();
sendKept();

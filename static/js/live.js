// One socket for the page: what the page follows goes out, what changed comes in. live-apply.js puts it into the page.
//
//   <main data-topic="project-3" data-cursor="912">               a topic, and the event id the page was rendered at
//   <ol data-topic="session-5" data-cursor="17" data-catch-up="/sessions/5/catch-up/">     a log, and its last rev
//   <span data-live></span>                                       live, stale since 12:00:00, polling, or signed out
(() => {
  "use strict";

  const QUIET = 35_000; // without a word for so long, nothing on the page can be trusted to be new
  const POLL = 5_000;
  const SLOWEST = 10_000; // between two attempts to connect
  const GIVE_UP = 4; // attempts after which the page polls
  const MOST_TOPICS = 100;
  const FINAL = { 4400: "live view off, reload", 4401: "signed out, reload", 4403: "signed out, reload" };

  const known = new WeakSet(); // elements that follow a topic
  const cursors = new Map(); // topic to the event id or rev that the page has seen
  const fetching = new Set(); // topics that are being caught up
  const again = new Set(); // and those that have to be once more
  let socket = null;
  let followed = "";
  let heardAt = Date.now();
  let failures = 0;
  let over = null; // why there will be no connection any more
  let timer = 0;
  let opened = false;

  const isLog = (topic) => document.querySelector(`[data-topic="${topic}"][data-catch-up]`) !== null;

  // --- the socket -----------------------------------------------------------------------------------------------

  function connect() {
    clearTimeout(timer);
    if (over || (socket && socket.readyState <= WebSocket.OPEN)) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const mine = (socket = new WebSocket(`${scheme}://${location.host}/live/`));
    mine.onopen = () => {
      followed = "";
      follow();
      if (opened) catchUpAll();
      opened = true;
    };
    mine.onmessage = (message) => hear(JSON.parse(message.data));
    mine.onclose = (close) => {
      if (mine !== socket) return;
      socket = null;
      over = FINAL[close.code] || null;
      if (!over) later();
      show();
    };
  }

  function later() {
    const longest = Math.min(SLOWEST, 500 * 2 ** failures++);
    timer = setTimeout(connect, longest / 2 + (Math.random() * longest) / 2);
  }

  // An element that just came may have been rendered before what the page has heard: its cursor counts.
  function collect() {
    const topics = new Set();
    for (const element of document.querySelectorAll("[data-topic]")) {
      const { topic, cursor } = element.dataset;
      topics.add(topic);
      if (known.has(element)) continue;
      known.add(element);
      followed = "";
      cursors.set(topic, Math.min(cursors.get(topic) ?? Infinity, Number(cursor) || 0));
    }
    for (const topic of cursors.keys()) if (!topics.has(topic)) cursors.delete(topic);
  }

  function follow() {
    collect();
    const names = [...cursors.keys()].join(" ");
    if (!socket || socket.readyState !== WebSocket.OPEN || names === followed) return;
    followed = names;
    socket.send(JSON.stringify({ follow: Object.fromEntries([...cursors].slice(0, MOST_TOPICS)) }));
  }

  // --- what it says -----------------------------------------------------------------------------------------------

  function hear(frame) {
    heardAt = Date.now();
    if (frame.tick) {
      failures = 0;
      for (const topic of cursors.keys())
        if (!isLog(topic)) cursors.set(topic, Math.max(cursors.get(topic), frame.tick.event));
    }
    if (frame.ring) studioLive.ring(frame.ring);
    if (frame.card) studioLive.card(frame);
    if (frame.gone) studioLive.gone(frame.gone);
    if ("to" in frame) log(frame);
    show();
  }

  function log(frame) {
    const have = cursors.get(frame.topic);
    if (have === undefined || frame.to <= have) return;
    if (frame.from > have || !frame.entries) return void catchUp(frame.topic);
    studioLive.entries(frame.topic, frame.entries);
    cursors.set(frame.topic, frame.to);
  }

  // --- over HTTP ----------------------------------------------------------------------------------------------------

  async function catchUp(topic) {
    const place = document.querySelector(`[data-topic="${topic}"][data-catch-up]`);
    if (!place) return;
    if (fetching.has(topic)) return void again.add(topic);
    fetching.add(topic);
    try {
      for (let more = true; more; ) {
        const answer = await get(`${place.dataset.catchUp}?after=${cursors.get(topic)}`);
        if (!cursors.has(topic)) return;
        studioLive.entries(topic, answer.entries);
        if (answer.ids) studioLive.only(topic, answer.ids);
        cursors.set(topic, Math.max(cursors.get(topic), answer.to));
        more = answer.more;
      }
    } catch {
      again.delete(topic); // the next tick, wake-up or poll tries once more
    } finally {
      setTimeout(() => {
        fetching.delete(topic);
        if (again.delete(topic)) catchUp(topic);
      }, 300);
    }
  }

  async function get(url) {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, redirect: "error" });
    if (!answer.ok) throw new Error(`${answer.status} from ${url}`);
    return answer.json();
  }

  function catchUpAll() {
    for (const topic of cursors.keys()) if (isLog(topic)) catchUp(topic);
  }

  function poll() {
    if (over || document.hidden || !isQuiet()) return;
    studioLive.ringAll();
    catchUpAll();
    connect();
  }

  function wake() {
    if (over || document.hidden) return;
    if (socket && Date.now() - heardAt > QUIET) {
      socket.close(); // it may be dead without knowing
      socket = null;
    }
    failures = 0;
    connect();
    catchUpAll();
  }

  // --- what the page says of itself -----------------------------------------------------------------------------------

  const isQuiet = () => failures >= GIVE_UP || Date.now() - heardAt >= QUIET;

  function standing() {
    if (over) return ["over", over];
    if (isQuiet()) return ["polling", `stale since ${clock(heardAt)}, polling`];
    if (socket && socket.readyState === WebSocket.OPEN) return ["live", "live"];
    return opened ? ["stale", `stale since ${clock(heardAt)}`] : ["connecting", "connecting"];
  }

  function show() {
    const [state, text] = standing();
    for (const element of document.querySelectorAll("[data-live]")) {
      const words = element.querySelector("[data-live-text]") || element;
      if (element.dataset.live === state && words.textContent === text) continue;
      element.classList.remove(`live--${element.dataset.live}`);
      element.classList.add(`live--${state}`);
      element.dataset.live = state;
      words.textContent = text;
    }
  }

  const clock = (at) => new Date(at).toLocaleTimeString([], { hour12: false });

  document.addEventListener("htmx:afterSettle", follow);
  document.addEventListener("htmx:historyRestore", () => (wake(), follow()));
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", (event) => event.persisted && wake());
  setInterval(show, 1_000);
  setInterval(poll, POLL);
  connect();
  show();
})();

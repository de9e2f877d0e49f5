// Times that run: <time datetime="2026-01-02T03:04:05Z" data-since> says "41 s", "3 min", "2 h", "5 d" ago, every second anew.
// Its title is the moment itself, in the reader's own zone. <time datetime=… data-at> shows that moment as its text,
// and <time datetime=… data-clock> its hour and minute.
(() => {
  "use strict";

  const STEPS = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
  ];

  function since(seconds) {
    const [length, unit] = STEPS.find(([length]) => seconds >= length) || [1, "s"];
    return `${Math.floor(seconds / length)} ${unit}`;
  }

  function textOf(time, at, moment) {
    if ("since" in time.dataset) return since(Math.max(0, (Date.now() - at) / 1000));
    return "clock" in time.dataset ? at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : moment;
  }

  function run() {
    for (const time of document.querySelectorAll("time[data-since], time[data-at], time[data-clock]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.valueOf())) continue;
      const moment = at.toLocaleString();
      const text = textOf(time, at, moment);
      if (time.textContent !== text) time.textContent = text;
      if (time.title !== moment) time.title = moment;
    }
  }

  document.addEventListener("DOMContentLoaded", run);
  document.addEventListener("htmx:afterSettle", run);
  document.addEventListener("live:entries", run);
  setInterval(run, 1_000);
})();

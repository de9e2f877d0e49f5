// Puts what live.js hears into the page, and never under a person's hands: what they write in, select or look into stays.
const studioLive = (() => {
  "use strict";

  const waiting = new Map(); // id of an element that is in use to what shall take its place
  const busy = new WeakSet(); // elements that are fetching
  const rung = new WeakSet(); // and those of them that were rung meanwhile: the answer may be older than the ring
  const FRESH = "is-fresh"; // the class of what just came or moved; the style sheet lets it fade

  // --- hands off --------------------------------------------------------------------------------------------------

  function inUse(element) {
    const active = document.activeElement;
    const typing = "input:not([data-select]), textarea, select, [contenteditable]";
    if (active && active !== element && element.contains(active) && active.matches(typing))
      return true;
    const selection = getSelection();
    if (!selection.isCollapsed && element.contains(selection.anchorNode)) return true;
    return [...element.querySelectorAll("textarea, input")].some(drafted);
  }

  function drafted(field) {
    if ("select" in field.dataset) return false; // what is selected is carried over
    if (field.type === "hidden" || field.type === "submit" || field.type === "button") return false;
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    return field.value !== field.defaultValue;
  }

  function release() {
    for (const [id, put] of [...waiting]) {
      const element = document.getElementById(id);
      if (element && inUse(element)) continue;
      waiting.delete(id);
      put();
    }
    for (const element of document.querySelectorAll("[data-ring].is-behind")) if (!inUse(element)) ringOne(element);
  }

  // --- ringing ------------------------------------------------------------------------------------------------------

  function ring(names) {
    for (const name of names)
      for (const element of document.querySelectorAll(`[data-ring~="${CSS.escape(name)}"]`)) ringOne(element);
  }

  function ringAll() {
    document.querySelectorAll("[data-ring]").forEach(ringOne);
  }

  function ringOne(element) {
    element.classList.remove("is-behind");
    if (inUse(element)) element.classList.add("is-behind");
    else if (busy.has(element)) rung.add(element);
    else element.dispatchEvent(new CustomEvent("ring")); // not `htmx.trigger`, which rings what is around it too
  }

  // Of an element that its own answer replaced, htmx tells here through a parent: only requestConfig still names it.
  document.addEventListener("htmx:beforeRequest", (event) => busy.add(event.detail.requestConfig.elt));
  document.addEventListener("htmx:afterRequest", (event) => {
    const { elt } = event.detail.requestConfig;
    busy.delete(elt);
    if (!rung.delete(elt)) return;
    setTimeout(() => {
      // Only what took its place: were its neighbours rung too, they would ring it again, without end where answers are slow.
      const heir = elt.isConnected ? elt : document.getElementById(elt.id);
      if (heir) ringOne(heir);
    }, 50);
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, target } = event.detail;
    const by = requestConfig && requestConfig.triggeringEvent;
    if (!by || by.type !== "ring") return;
    if (target && inUse(target)) {
      event.detail.shouldSwap = false;
      requestConfig.elt.classList.add("is-behind");
    } else if (target) keepOpen(target);
  });

  document.addEventListener("focusout", () => setTimeout(release, 0));
  document.addEventListener("selectionchange", () => getSelection().isCollapsed && waiting.size && release());
  document.addEventListener("htmx:afterSettle", () => (reopen(), release()));

  // --- replacing ----------------------------------------------------------------------------------------------------

  const opened = new Set(); // ids of details that were open in what htmx replaces
  const selected = new Set(); // the values that a person has selected; a card that comes back in another column still is
  let focused = ""; // the value of the one that had the focus in what is replaced

  document.addEventListener("change", ({ target }) => {
    if ("select" in target.dataset) selected[target.checked ? "add" : "delete"](target.value);
  });
  document.addEventListener("reset", ({ target }) => target.id === "bulk" && selected.clear());

  function keepFocus(part) {
    const active = document.activeElement;
    if (active && part.contains(active) && "select" in active.dataset) focused = active.value;
  }

  function reselect() {
    for (const mark of selected.size || focused ? document.querySelectorAll("[data-select]") : []) {
      if (selected.has(mark.value)) mark.checked = true;
      if (focused !== mark.value) continue;
      mark.focus({ preventScroll: true });
      focused = "";
    }
  }

  function keepOpen(target) {
    keepFocus(target);
    for (const details of target.querySelectorAll("details[id]")) opened[details.open ? "add" : "delete"](details.id);
  }

  function reopen() {
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    opened.clear();
    reselect();
  }

  function build(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  }

  function replace(old, fresh) {
    const before = [...old.querySelectorAll("details")];
    const after = [...fresh.querySelectorAll("details")];
    after.forEach((details, at) => {
      const same = details.id ? before.find((other) => other.id === details.id) : before[at];
      if (same) details.open = same.open;
    });
    old.replaceWith(fresh);
  }

  const newer = (rev, element) => !element || rev > (Number(element.dataset.rev) || 0);

  // --- the log of a session ---------------------------------------------------------------------------------------------

  function entries(topic, list) {
    const place = document.querySelector(`[data-topic="${topic}"][data-catch-up]`);
    if (!place || !list.length) return;
    for (const entry of list) put(place, entry);
    place.dispatchEvent(new CustomEvent("live:entries", { bubbles: true, detail: { entries: list } }));
  }

  function put(place, entry) {
    const old = document.getElementById(entry.id);
    if (!newer(entry.rev, old)) return;
    if (old && inUse(old)) return void waiting.set(entry.id, () => put(place, entry));
    waiting.delete(entry.id);
    const fresh = build(entry.html);
    if (!fresh) return void old?.remove();
    fresh.dataset.rev = entry.rev;
    fresh.dataset.seq = entry.seq;
    if (old) replace(old, fresh);
    else fresh.classList.add(FRESH);
    const next = successor(place, fresh, entry.seq);
    if (!old || following(fresh) !== next) place.insertBefore(fresh, next);
    htmx.process(fresh);
  }

  // The entry that `seq` stands before: searched from the end, where almost all of them go.
  function successor(place, fresh, seq) {
    let next = null;
    for (let other = place.lastElementChild; other; other = other.previousElementSibling) {
      if (other === fresh || !other.dataset.seq) continue;
      if (Number(other.dataset.seq) <= seq) break;
      next = other;
    }
    return next;
  }

  function following(element) {
    let next = element.nextElementSibling;
    while (next && !next.dataset.seq) next = next.nextElementSibling;
    return next;
  }

  function gone(ids) {
    for (const id of ids) {
      waiting.delete(id);
      document.getElementById(id)?.remove();
    }
  }

  function only(topic, ids) {
    const kept = new Set(ids);
    const place = document.querySelector(`[data-topic="${topic}"][data-catch-up]`);
    for (const element of place ? [...place.querySelectorAll("[data-seq]")] : []) if (!kept.has(element.id)) element.remove();
  }

  // --- the cards of a board ---------------------------------------------------------------------------------------------

  function card(frame) {
    const board = document.querySelector(`[data-topic="${frame.topic}"]`);
    if (!board) return;
    if ("ringOnly" in board.dataset) return void partial(frame.topic, frame.card);
    place(board, frame.card);
    for (const [column, count] of Object.entries(frame.counts))
      for (const element of board.querySelectorAll(`[data-count="${CSS.escape(column)}"]`)) element.textContent = count;
  }

  // A board that is filtered, or of many projects: only the server knows what shows, but for a card that stays where it is.
  function partial(topic, { id, rev, column, html }) {
    if (!document.querySelector("[data-column]")) return void ring([topic]); // a list
    const old = document.getElementById(id);
    const list = column && document.querySelector(`[data-column="${CSS.escape(column)}"]`);
    const stays = list?.contains(old) && build(html)?.dataset.status === old.dataset.status;
    if (stays) return void place(document, { id, rev, column, html });
    for (const part of new Set([old, list].map((each) => each?.closest?.("[data-ring]")))) if (part) ringOne(part);
  }

  function place(board, { id, rev, column, html }) {
    const old = document.getElementById(id);
    if (old && rev < (Number(old.dataset.rev) || 0)) return;
    if (old && inUse(old)) return void waiting.set(id, () => place(board, { id, rev, column, html }));
    waiting.delete(id);
    const list = column && board.querySelector(`[data-column="${CSS.escape(column)}"]`);
    if (!list) return void old?.remove();
    const fresh = build(html);
    fresh.dataset.rev = rev;
    if (old) keepFocus(old);
    if (old && old.parentElement === list) replace(old, fresh);
    else {
      old?.remove();
      fresh.classList.add(FRESH);
      list.prepend(fresh);
    }
    reselect();
    htmx.process(fresh);
  }

  return { ring, ringAll, entries, gone, only, card };
})();

// Ctrl+Enter (or Command) presses the first button of a form whose text is a message.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat || event.isComposing) return;
  const form = event.target.closest("form[data-message]");
  const button = event.target.matches("textarea") && form?.querySelector('.form__row button[type="submit"]');
  if (!button || button.disabled) return;
  event.preventDefault();
  form.requestSubmit(button);
});

// --- single keys ------------------------------------------------------------------------------------------------

const TYPING = 'textarea, select, [contenteditable], input:not([type="checkbox"], [type="radio"], [type="submit"])';
const ITEMS = "[data-item], .card__title, .list tbody th a"; // what j and k go through
const FIND = '[data-key="/"], main [role="search"] input:not([type="hidden"])';
let file = ""; // the id of the file that n and p have come to: what marks it as viewed replaces it

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  x: () => press(document.activeElement.closest(".card, .list tr")?.querySelector("[data-select]")),
  n: () => leaf(1),
  p: () => leaf(-1),
  v: () => press((document.activeElement.closest(".file") ?? document.getElementById(file))?.querySelector(".file__viewed button")),
  "/": () => focusOn(shown(FIND)[0]) || open("palette"),
  "?": () => open("keys"),
};

const shown = (selector) => [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility());

function press(control) {
  control?.click();
  return Boolean(control);
}

function focusOn(element) {
  element?.focus();
  element?.scrollIntoView({ block: "nearest" });
  return Boolean(element);
}

function open(id) {
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
  return Boolean(dialog);
}

// The neighbour of the item that has the focus, or around which it is; the first where there is none.
function step(by) {
  const items = shown(ITEMS);
  const around = document.activeElement.closest(".card, .list tr, .need");
  const at = items.findIndex((item) => item === document.activeElement || around?.contains(item));
  return focusOn(items[Math.min(items.length - 1, Math.max(0, at < 0 ? 0 : at + by))]);
}

function leaf(by) {
  const files = [...document.querySelectorAll("details.file")];
  const here = document.activeElement.closest(".file")?.id || file;
  const at = files.findIndex((each) => each.id === here);
  const next = files[Math.min(files.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  file = next?.id ?? "";
  next?.scrollIntoView({ block: "start" });
  next?.querySelector("summary").focus({ preventScroll: true });
  return Boolean(next);
}

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.repeat || document.querySelector("dialog[open]")) return;
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
    if (open("palette")) event.preventDefault();
    return;
  }
  if (event.target.closest(TYPING) || event.ctrlKey || event.metaKey || event.altKey) return;
  // What a page names in data-key comes first, then what every page has.
  const control = /^[a-z]$/.test(event.key) && shown(`[data-key="${event.key}"]`)[0];
  const done = control ? press(control) : Object.hasOwn(KEYS, event.key) && KEYS[event.key]();
  if (done) event.preventDefault();
});

// --- the palette ------------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  const palette = event.target.closest("#palette");
  if (!palette || event.isComposing) return;
  const field = palette.querySelector("#palette-q");
  const entries = [field, ...palette.querySelectorAll("[data-entry]")];
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (by) focusOn(entries.at((entries.indexOf(document.activeElement) + by) % entries.length));
  else if (event.key === "Enter" && event.target === field) {
    // With nothing written no verb is pressed by chance; where the list is not that of the words yet, the form asks for a page.
    const words = field.value.trim();
    if (words && palette.querySelector("[data-words]")?.dataset.words !== words) return;
    if (words) press(entries[1]);
  } else return;
  event.preventDefault();
});

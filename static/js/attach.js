// Files for the agent: the plain input collects what is chosen, pasted and dropped, each with a chip that removes it.
const MOST = 10;
const MEGABYTE = 1024 * 1024;
const LARGEST = 10 * MEGABYTE;
const TOTAL = 25 * MEGABYTE;
const SHOWN = /^image\/(png|jpeg|gif|webp)$/;
const chosen = new WeakMap(); // the files of each input; the browser forgets them when one chooses again

const input = (form) => form?.querySelector('[data-attach] input[type="file"]');
const size = (bytes) => (bytes < MEGABYTE ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / MEGABYTE).toFixed(1)} MB`);

function refusal(files) {
  const large = files.find((file) => file.size > LARGEST);
  if (large) return `${large.name} is larger than 10 MB.`;
  if (files.length > MOST) return `At most ${MOST} files at a time.`;
  return files.reduce((sum, file) => sum + file.size, 0) > TOTAL ? "Together they are larger than 25 MB." : "";
}

function say(box, words) {
  const error = box.querySelector("[data-attach-error]");
  error.textContent = words;
  error.hidden = !words;
}

function add(field, more) {
  const files = [...(chosen.get(field) ?? []), ...more];
  const wrong = refusal(files);
  say(field.closest("[data-attach]"), wrong);
  set(field, wrong ? (chosen.get(field) ?? []) : files);
}

function set(field, files) {
  chosen.set(field, files);
  const carrier = new DataTransfer();
  for (const file of files) carrier.items.add(file);
  field.files = carrier.files;
  const list = field.closest("[data-attach]").querySelector("[data-attach-list]");
  list.replaceChildren(...files.map((file) => chip(field, file)));
  list.hidden = !files.length;
}

function chip(field, file) {
  const item = document.createElement("li");
  item.className = "attachment";
  const name = document.createElement("span");
  name.className = "attachment__name";
  name.textContent = file.name;
  const bytes = document.createElement("span");
  bytes.className = "muted";
  bytes.textContent = size(file.size);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "button button--quiet button--small";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove ${file.name}`);
  remove.addEventListener("click", () => {
    say(field.closest("[data-attach]"), "");
    set(field, chosen.get(field).filter((each) => each !== file));
    field.focus();
  });
  if (SHOWN.test(file.type)) item.append(picture(file));
  item.append(name, bytes, remove);
  return item;
}

function picture(file) {
  const image = document.createElement("img");
  image.className = "attachment__picture";
  image.alt = "";
  const reader = new FileReader(); // a blob's address is not allowed here, a data address is
  reader.addEventListener("load", () => { image.src = reader.result; });
  reader.readAsDataURL(file);
  return image;
}

document.addEventListener("change", (event) => {
  if (event.target.matches?.('[data-attach] input[type="file"]')) add(event.target, event.target.files);
});

document.addEventListener("paste", (event) => {
  const field = input(event.target.closest?.("form"));
  if (!field || !event.clipboardData.files.length) return;
  event.preventDefault();
  add(field, event.clipboardData.files);
});

document.addEventListener("dragover", (event) => {
  const field = input(event.target.closest?.("form"));
  if (!field || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  field.form.classList.add("attach--over");
});

document.addEventListener("dragleave", (event) => {
  const form = event.target.closest?.("form");
  if (form && !form.contains(event.relatedTarget)) form.classList.remove("attach--over");
});

document.addEventListener("drop", (event) => {
  const field = input(event.target.closest?.("form"));
  if (!field || !event.dataTransfer.files.length) return;
  event.preventDefault();
  field.form.classList.remove("attach--over");
  add(field, event.dataTransfer.files);
});

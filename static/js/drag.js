// A card that is dragged to a column it may go to: data-drops="plan=execute …" names those columns, and the verb that it stands for.
// The link that covers the card is what the browser drags; its menu does the same without a pointer.
let dragged = null;

const drops = () => new Map((dragged?.dataset.drops ?? "").split(" ").map((drop) => drop.split("=")));
const target = (event) => dragged && event.target.closest?.(".column.is-target");

function mark(name, chosen) {
  for (const column of document.querySelectorAll(".column")) column.classList.toggle(name, chosen(column));
}

const slug = (column) => column.id.replace("column-", "");

document.addEventListener("dragstart", (event) => {
  const card = event.target.closest?.(".board .card[data-drops]");
  if (!card || document.body.classList.contains("role-viewer")) return;
  dragged = card;
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setDragImage(card, 20, 20);
  mark("is-target", (column) => drops().has(slug(column)));
});

document.addEventListener("dragover", (event) => {
  const column = target(event);
  if (dragged) mark("is-over", (each) => each === column);
  if (column) event.preventDefault();
});

document.addEventListener("drop", (event) => {
  const column = target(event);
  if (!column) return;
  event.preventDefault();
  const verb = drops().get(slug(column));
  const token = document.querySelector("#start [name=csrfmiddlewaretoken]").value;
  const home = dragged.querySelector(".card__title").getAttribute("href");
  htmx.ajax("POST", `${home}${verb}/`, { target: `#${dragged.id}`, swap: "outerHTML", values: { csrfmiddlewaretoken: token } });
});

document.addEventListener("dragend", () => {
  dragged = null;
  mark("is-target", () => false);
  mark("is-over", () => false);
});

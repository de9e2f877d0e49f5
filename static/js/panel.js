// On a wide screen a card opens its task beside the board, under the task's own address: reloaded, or opened by middle click,
// that is the full page. Escape, Back and a click beside it lead back to the board, and the focus to the card.
const WIDE = matchMedia("(min-width: 861px)");
const panel = document.getElementById("panel");
const loaded = `${location.pathname}${location.search}`;
let card = ""; // id of the card that was opened

function show(address) {
  panel.querySelector("[data-panel-page]").href = address;
  if (!panel.open) panel.showModal();
  htmx.ajax("GET", address, { target: "#panel-body", swap: "innerHTML show:none", select: "#content > *" });
}

document.addEventListener("click", (event) => {
  const link = panel && event.target.closest?.(".board .card__title");
  if (!link || !WIDE.matches || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  card = link.closest(".card").id;
  const address = link.getAttribute("href");
  history.pushState({ panel: address, card }, "", address);
  show(address);
});

panel?.addEventListener("close", () => {
  document.getElementById("panel-body").replaceChildren();
  document.dispatchEvent(new CustomEvent("htmx:afterSettle")); // the page follows the task no longer
  document.querySelector(`#${CSS.escape(card)} .card__title`)?.focus({ preventScroll: true });
  if (history.state?.panel) history.back();
});

addEventListener("popstate", (event) => {
  const address = `${location.pathname}${location.search}`;
  if (panel && event.state?.panel) {
    card = event.state.card;
    show(event.state.panel);
  } else if (address === loaded) panel?.close();
  else if (!event.state?.htmx) location.reload(); // the page was loaded anew while the panel's address stood there
});

// Messages in the corner: closed by their button, and one of Studio's own when a request came to nothing.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) event.target.closest(".toast")?.remove();
});

const failed = () => {
  const toasts = document.getElementById("toasts");
  toasts.replaceChildren(document.getElementById("toast-failed").content.cloneNode(true));
};

const byPerson = (event) => ["click", "submit"].includes(event.detail.requestConfig?.triggeringEvent?.type);

document.addEventListener("htmx:sendError", (event) => byPerson(event) && failed());
document.addEventListener("htmx:responseError", (event) => byPerson(event) && event.detail.xhr.status >= 500 && ![503, 507].includes(event.detail.xhr.status) && failed());

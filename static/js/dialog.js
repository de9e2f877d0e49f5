// Opens the dialog that a link names in data-dialog; without JavaScript the link leads to a page of its own.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    if (!dialog.open) dialog.showModal();
    return;
  }
  const closer = event.target.closest("[data-close-dialog]");
  const open = (closer ?? event.target).closest("dialog[open]");
  if (open && (closer || event.target === open)) {
    event.preventDefault();
    open.close();
  }
});

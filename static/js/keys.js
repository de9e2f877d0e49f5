// Ctrl+Enter (or Command) presses the first button of a form whose text is a message.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat || event.isComposing) return;
  const form = event.target.closest("form[data-message]");
  const button = event.target.matches("textarea") && form?.querySelector('.form__row button[type="submit"]');
  if (!button || button.disabled) return;
  event.preventDefault();
  form.requestSubmit(button);
});

// A single key presses the control that names it in data-key, unless somebody is typing.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat || !/^[a-z?]$/.test(event.key)) return;
  const control = document.querySelector(`[data-key="${event.key}"]`);
  if (!control?.checkVisibility()) return;
  event.preventDefault();
  control.click();
});

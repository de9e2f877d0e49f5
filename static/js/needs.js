// The count of what waits for the reader, in the title and the icon of the tab too.
const icon = document.querySelector('link[rel="icon"]');
const calm = icon?.href;

function show() {
  const waiting = Number(document.getElementById("needs-count")?.dataset.waiting ?? 0);
  const title = document.title.replace(/^\(\d+\) /, "");
  document.title = waiting ? `(${waiting}) ${title}` : title;
  if (icon) icon.href = waiting ? icon.dataset.calling : calm;
}

document.addEventListener("htmx:afterSettle", show);
show();

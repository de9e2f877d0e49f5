// Who stands at the end of the page stays there while entries come in; who has scrolled up to read is left alone.
let atEnd = false;

const look = () => {
  const { scrollHeight, clientHeight, scrollTop } = document.documentElement;
  atEnd = scrollTop > 0 && scrollHeight - clientHeight - scrollTop < 80;
};

document.addEventListener("scroll", look, { passive: true });
document.addEventListener("live:entries", () => atEnd && scrollTo({ top: document.documentElement.scrollHeight }));

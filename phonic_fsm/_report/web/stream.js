// What a server tells while the page can be seen. A browser has few connections to a server, so a
// page that nobody looks at holds none.

function stream(address, began, take) {
  let source = null;
  function open() {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      source = new EventSource(address);
      source.addEventListener("open", began);
      source.addEventListener("message", ({ data }) => take(JSON.parse(data)));
    }
  }
  document.addEventListener("visibilitychange", open);
  open();
}

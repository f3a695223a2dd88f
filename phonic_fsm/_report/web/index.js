// The index of calls: only the rows that can be seen are elements.

(() => {
  const ROW = 30;
  const MARGIN = 10;
  const { package: version, severities, rows } = JSON.parse(byId("data").textContent);
  const calls = rows.map(([name, href, started, seconds, state, severity, found]) => ({
    name, href, started, seconds, state, severity, found,
    text: [name, state, ...found.map(([, title]) => title)].join("\n").toLowerCase(),
  }));
  const list = byId("calls");
  const sizer = el("div", { class: "sizer", role: "presentation" });
  list.append(sizer);
  let shown = calls;

  byId("about").textContent =
    `${calls.length} ${calls.length === 1 ? "call" : "calls"}, those with findings first; phonic-fsm ${version}`;

  const names = [...severities, "nothing found"];
  const boxes = names.map((name, index) => {
    const box = el("input", { type: "checkbox", id: `only-${index}`, checked: true });
    const count = calls.filter(({ severity }) => severity === index).length;
    byId("severities").append(el("label", {}, box, ` ${name} (${count})`));
    box.addEventListener("change", filter);
    return box;
  });

  function filter() {
    const wanted = byId("search").value.trim().toLowerCase();
    shown = calls.filter(({ severity, text }) => boxes[severity].checked && text.includes(wanted));
    sizer.style.height = `${shown.length * ROW}px`;
    byId("shown").textContent = `${shown.length} of ${calls.length}`;
    list.scrollTop = 0;
    draw();
  }

  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - MARGIN);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + MARGIN);
    sizer.replaceChildren(...shown.slice(first, last).map((one, offset) => row(one, first + offset)));
  }

  function row({ name, href, started, seconds, state, severity, found }, index) {
    const began = new Date(started);
    const open = state === "closed" ? "" : ` (${words(state) || "no step"})`;
    const more = found.length > 1 ? ` and ${found.length - 1} more` : "";
    const node = el("div", { class: `call ${severities[severity] ?? ""}`, role: "listitem",
      "aria-setsize": shown.length, "aria-posinset": index + 1 },
    el("i", { title: names[severity] }),
    el("a", { href, dir: "auto", title: name }, name),
    el("span", { class: "found", dir: "auto", title: found.map(([, title]) => title).join("\n") },
      found.length ? `${found[0][1]}${more}${open}` : `nothing found${open}`),
    el("time", {}, isNaN(began) ? "" : began.toISOString().slice(0, 19).replace("T", " ")),
    el("span", { class: "length" }, seconds < 60 ? inSeconds(seconds) : clock(seconds).slice(0, -4)));
    // The page's policy forbids style attributes.
    node.style.top = `${index * ROW}px`;
    return node;
  }

  list.addEventListener("scroll", draw);
  new ResizeObserver(draw).observe(list);
  byId("search").addEventListener("input", filter);
  byId("search").form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== byId("search")) {
      byId("search").focus();
      event.preventDefault();
    }
  });
  filter();
})();

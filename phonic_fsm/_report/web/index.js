// The index of calls: only the rows that can be seen are elements.

(() => {
  const ROW = 30;
  const MARGIN = 10;
  const LIVES = ["running", "killed"];
  const { package: version, severities, rows, changes } = JSON.parse(byId("data").textContent);
  const names = [...severities, "nothing found"];
  const calls = new Map();
  const list = byId("calls");
  const sizer = el("div", { class: "sizer", role: "presentation" });
  list.append(sizer);
  let sorted = [];
  let shown = [];
  let found = rows.length;

  function keep([name, href, started, seconds, state, severity, findings, life, waitsFor, since, worker]) {
    const text = [name, state, life, waitsFor, worker, ...findings.map(([, title]) => title)];
    calls.set(name, { name, href, started, seconds, state, severity, findings, life, waitsFor, since, worker,
      text: text.join("\n").toLowerCase() });
  }

  const boxes = names.map((name, index) => {
    const box = el("input", { type: "checkbox", id: `only-${index}`, checked: true });
    const count = el("span");
    byId("severities").append(el("label", {}, box, ` ${name} (`, count, ")"));
    box.addEventListener("change", filterFromTop);
    return { box, count };
  });

  const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);

  // What goes on stands first, then what was found in a call, the worst first, then the newest.
  function sort() {
    const place = ({ life }) => (life === "running" ? 0 : 1);
    sorted = [...calls.values()].sort((one, other) => place(one) - place(other) ||
      one.severity - other.severity || compare(other.started, one.started) || compare(one.name, other.name));
    const running = sorted.filter(({ life }) => life === "running").length;
    const going = changes ? `, ${running} running` : "";
    const reading = calls.size < found ? `, ${found - calls.size} still to be read` : "";
    const bare = changes ? 0 : sorted.filter(({ href }) => !href).length;
    const written = bare ? `, ${bare} of them without a page` : "";
    byId("about").textContent = `${calls.size} ${calls.size === 1 ? "call" : "calls"}${going}${reading}${written}, ` +
      `those with findings first; phonic-fsm ${version}`;
    boxes.forEach(({ count }, index) => {
      count.textContent = sorted.filter(({ severity }) => severity === index).length;
    });
    filter();
  }

  function filter() {
    const wanted = byId("search").value.trim().toLowerCase();
    shown = sorted.filter(({ severity, text }) => boxes[severity].box.checked && text.includes(wanted));
    sizer.style.height = `${shown.length * ROW}px`;
    byId("shown").textContent = `${shown.length} of ${calls.size}`;
    draw();
  }

  function filterFromTop() {
    list.scrollTop = 0;
    filter();
  }

  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - MARGIN);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + MARGIN);
    // A row that is drawn anew keeps the focus.
    const held = document.activeElement.closest?.(".call")?.querySelector("a")?.title;
    sizer.replaceChildren(...shown.slice(first, last).map((one, offset) => row(one, first + offset)));
    if (held) [...sizer.querySelectorAll("a")].find(({ title }) => title === held)?.focus({ preventScroll: true });
  }

  // Of a call that goes on: where it stands, and for how long. Of another: how it ended.
  function standing({ life, state, waitsFor, since, worker }) {
    const where = worker ? ` (${worker})` : "";
    if (life === "running") {
      const waits = waitsFor ? `waits for ${waitsFor}, ` : "";
      return `${words(state)}: ${waits}${inSeconds(Math.max(0, Date.now() / 1000 - since))}${where}`;
    }
    if (life === "killed") return `killed in ${words(state) || "its first step"}${where}`;
    return state === "closed" ? "" : words(state) || "no step";
  }

  function row(one, index) {
    const { name, href, started, seconds, severity, findings, life } = one;
    const began = new Date(started);
    const more = findings.length > 1 ? ` and ${findings.length - 1} more` : "";
    const stands = standing(one);
    const node = el("div", { class: `call ${severities[severity] ?? ""}`, role: "listitem",
      "aria-setsize": shown.length, "aria-posinset": index + 1 },
    el("i", { title: names[severity] }),
    href ? el("a", { href, dir: "auto", title: name }, name) : el("span", { class: "name", dir: "auto" }, name),
    LIVES.includes(life) ? el("span", { class: `standing ${life}`, dir: "auto", "data-name": name }, stands) : null,
    el("span", { class: "found", dir: "auto", title: findings.map(([, title]) => title).join("\n") },
      (findings.length ? `${findings[0][1]}${more}` : life === "running" ? "" : "nothing found") +
      (stands && !LIVES.includes(life) ? ` (${stands})` : "")),
    el("time", {}, isNaN(began) ? "" : began.toISOString().slice(0, 19).replace("T", " ")),
    el("span", { class: "length" }, seconds < 60 ? inSeconds(seconds) : clock(seconds).slice(0, -4)));
    // The page's policy forbids style attributes.
    node.style.top = `${index * ROW}px`;
    return node;
  }

  list.addEventListener("scroll", draw);
  new ResizeObserver(draw).observe(list);
  byId("search").addEventListener("input", filterFromTop);
  byId("search").form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== byId("search")) {
      byId("search").focus();
      event.preventDefault();
    }
  });

  rows.forEach(keep);
  sort();
  if (changes) {
    stream(changes, () => calls.clear(), ({ rows: changed, gone, found: inAll }) => {
      changed.forEach(keep);
      gone.forEach((name) => calls.delete(name));
      found = inAll;
      sort();
    });
    setInterval(() => {
      for (const node of sizer.querySelectorAll(".standing.running")) {
        node.textContent = standing(calls.get(node.dataset.name));
      }
    }, 1000);
  }
})();

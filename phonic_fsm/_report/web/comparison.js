// Two calls side by side. Steps that are alike are folded until somebody wants to see them.

const data = JSON.parse(byId("data").textContent);
const CONTEXT = 2;

(() => {
  const { sides, timed, times, rows } = data;
  const differing = rows.filter(([, , , differs]) => differs).length;
  byId("about").textContent = sides.map(({ name, about }) => `${name}: ${about}`).join(" · ");
  const verdict = byId("verdict");
  verdict.classList.add(differing ? "bad" : "good");
  verdict.textContent = differing ? `${differing} ${differing === 1 ? "step differs" : "steps differ"}` : "No step differs";

  byId("times-panel").hidden = !timed;
  const longest = Math.max(...times.flatMap(({ one, other }) => [one, other]), 0.001);
  byId("times-head").append(...["Step", "What", ...sides.map(({ name }) => name), "The second"].map(head));
  const sorted = [...times].sort((one, other) => other.differs - one.differs);
  byId("times").append(...(sorted.length ? sorted.map(time) : [el("tr", {}, el("td", { colspan: 5 }, "Nothing was measured in both."))]));
  byId("compared-head").append(...sides.map(({ name }) => head(name)));

  function head(name) {
    return el("th", { scope: "col", dir: "auto" }, name);
  }

  function time({ what, one, other, row, differs, told }) {
    const [left] = rows[row];
    return el("tr", { class: differs ? "differs" : null },
      el("td", {}, differs ? el("a", { href: `#row-${row}` }, String(left[0])) : String(left[0])),
      el("td", { dir: "auto" }, what),
      [one, other].map((seconds) => el("td", { class: "times" }, inSeconds(seconds), bar(seconds))),
      el("td", {}, told));
  }

  function bar(seconds) {
    return svg("svg", { class: "bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", width: "100%", "aria-hidden": "true" },
      svg("rect", { x: 0, y: 0, height: 6, width: Math.max(0.5, (seconds / longest) * 100) }));
  }

  // Every run of rows is a body of its own: those that are shown, and those that are folded.
  const table = byId("compared");
  const shown = new Set();
  rows.forEach(([, , , differs], index) => {
    if (!differs) return;
    for (let near = Math.max(0, index - CONTEXT); near <= Math.min(rows.length - 1, index + CONTEXT); near += 1) shown.add(near);
  });
  for (let begin = 0; begin < rows.length;) {
    let end = begin + 1;
    while (end < rows.length && shown.has(end) === shown.has(begin)) end += 1;
    table.append(shown.has(begin) ? body(begin, end) : fold(begin, end));
    begin = end;
  }

  function body(begin, end) {
    return el("tbody", {}, rows.slice(begin, end).map((row, index) => shownRow(row, begin + index)));
  }

  function fold(begin, end) {
    const unfold = () => {
      const steps = body(begin, end);
      place.replaceWith(steps);
      steps.tabIndex = -1;
      steps.focus();
    };
    const count = end - begin;
    const place = el("tbody", { class: "alike" }, el("tr", {}, el("td", { colspan: 2 },
      el("button", { onclick: unfold }, `${count} ${count === 1 ? "step" : "steps"} alike`))));
    return place;
  }

  function shownRow([one, other, differences, differs], index) {
    const took = times.filter((measured) => measured.row === index && measured.differs);
    const found = [
      ...differences.map(([where, ...values]) =>
        [where, ...values.map((value) => (value === null ? "nothing" : short(value, 600)))]),
      ...took.map((measured) => [measured.what, inSeconds(measured.one), inSeconds(measured.other)]),
    ];
    return el("tr", { id: `row-${index}`, class: differs ? "differs" : null },
      side(one, found, 1), side(other, found, 2));
  }

  function side(step, found, which) {
    if (!step) return el("td", { class: "absent" }, "no such step");
    const [number, at, source, target, event] = step;
    return el("td", { dir: "auto" },
      el("span", { class: "nr" }, String(number)), el("time", {}, clock(at)),
      el("b", {}, titleOf(event)), ` ${brief(event, 160)}`,
      source === target ? null : el("span", { class: "to" }, ` ${words(source)} → ${words(target)}`),
      found.length
        ? el("dl", { class: "found" }, found.map((one) => [el("dt", {}, one[0]), el("dd", {}, one[which])]))
        : null);
  }
})();

// The list of steps: only the rows that can be seen are elements.

const steps = (() => {
  const ROW = 28;
  const MARGIN = 6;
  const list = byId("steps");
  const sizer = el("div", { class: "sizer", role: "presentation" });
  list.append(sizer);
  const present = [...new Set(Object.values(call.steps.kinds))].filter((kind) =>
    call.steps.event_values.some(({ type }) => call.steps.kinds[type] === kind));
  // Audio would drown everything else.
  const off = new Set(present.length > 1 ? ["audio"] : []);
  const flagged = new Map(findings.map((finding) => [finding.step, finding.severity]).reverse());
  let onlyMoves = false;
  let shown = [];

  function refresh() {
    const wanted = byId("search").value.trim();
    const found = wanted ? trace.search(wanted) : () => true;
    shown = [];
    for (let number = 1; number <= trace.count; number++) {
      if (onlyMoves ? !trace.moved(number) : off.has(trace.kind(number)) && !trace.moved(number)) continue;
      if (found(number)) shown.push(number);
    }
    sizer.style.height = `${shown.length * ROW}px`;
    byId("shown").textContent = shown.length === trace.count
      ? `${trace.count}` : `${shown.length} of ${trace.count}`;
    reveal();
    draw();
  }

  // The row of the cursor's step, or of the listed one before it.
  const rowAt = (step) => lastAtMost(shown, step);

  function reveal() {
    const top = rowAt(cursor.step) * ROW;
    if (top < list.scrollTop + ROW || top > list.scrollTop + list.clientHeight * 0.6) {
      list.scrollTop = Math.max(0, top - list.clientHeight / 3);
    }
  }

  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - MARGIN);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + MARGIN);
    const chosen = rowAt(cursor.step);
    sizer.replaceChildren(...shown.slice(first, last).map((number, offset) => {
      const index = first + offset;
      const node = el("div", {
        id: `step-${number}`, class: "row", role: "option", "data-step": number,
        "aria-selected": String(shown[index] === cursor.step), "aria-setsize": shown.length,
        "aria-posinset": index + 1,
      },
      el("span", { class: "nr" }, String(number)),
      el("time", {}, clock(trace.times[number - 1])),
      el("span", { class: `what k-${trace.kind(number)}`, dir: "auto" },
        flagged.has(number) ? el("i", { class: flagged.get(number), title: "Marked" }) : null,
        el("b", {}, trace.event(number).type), " ", el("span", { class: "muted" }, brief(trace.event(number)))),
      trace.moved(number) ? el("span", { class: `to s-${trace.target(number)}` }, words(trace.target(number))) : null);
      if (index === chosen && shown[index] !== cursor.step) node.classList.add("near");
      node.style.top = `${index * ROW}px`;
      return node;
    }));
    if (chosen >= 0 && chosen >= first && chosen < last) {
      list.setAttribute("aria-activedescendant", `step-${shown[chosen]}`);
    } else {
      list.removeAttribute("aria-activedescendant");
    }
  }

  function toggle(label, pressed, change) {
    const button = el("button", {
      class: `toggle k-${label}`, "aria-pressed": String(pressed),
      onclick: () => {
        button.setAttribute("aria-pressed", String(change()));
        refresh();
      },
    }, label);
    return button;
  }

  byId("kinds").append(
    ...present.map((kind) => toggle(kind, !off.has(kind), () => {
      if (!off.delete(kind)) off.add(kind);
      return !off.has(kind);
    })),
    toggle("moves only", false, () => (onlyMoves = !onlyMoves)),
  );
  byId("search").addEventListener("input", refresh);
  list.addEventListener("scroll", draw, { passive: true });
  list.addEventListener("click", ({ target }) => {
    const row = target.closest("[data-step]");
    if (row) cursor.toStep(Number(row.dataset.step));
  });
  new ResizeObserver(draw).observe(list);
  cursor.onMove(() => { reveal(); draw(); });

  return {
    refresh,
    // The listed step after this one (1) or before it (-1).
    beside(step, direction) {
      const index = rowAt(step);
      if (direction > 0) return shown[index + 1] ?? step;
      return shown[index] === step ? shown[index - 1] ?? step : shown[index] ?? step;
    },
  };
})();

// The state diagram: where the session is, how it got there, and where it never went.

(() => {
  const { width, height, box, conversing, boxes, lines: ways } = call.diagram;
  const LINE = 27;
  const linesOf = (state) => words(state).split(" ");

  // A move out of all four conversing states is drawn once, from the box that they stand in.
  const drawnAs = (source, target) =>
    `${conversing.includes(source) && !conversing.includes(target) ? box : source}>${target}`;
  const states = Object.keys(call.states);
  const drawn = ways.map(([source, target]) => `${source}>${target}`);

  // The steps at which each move was made, and each state entered.
  const made = new Map(drawn.map((name) => [name, []]));
  const entered = new Map(states.map((state) => [state, []]));
  if (trace.count) entered.get(trace.source(1))?.push(0);
  for (let step = 1; step <= trace.count; step++) {
    if (!trace.moved(step)) continue;
    made.get(drawnAs(trace.source(step), trace.target(step)))?.push(step);
    entered.get(trace.target(step))?.push(step);
  }

  const arrow = (id) => svg("marker", { id, viewBox: "0 0 8 8", refX: 6.5, refY: 4, markerWidth: 12,
    markerHeight: 12, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
  svg("path", { d: "M0 0.5 L8 4 L0 7.5 z" }));

  const lines = new Map(ways.map(([source, target, d], number) => [drawn[number], svg("path", {
    d, class: made.get(drawn[number]).length ? "line" : "line never", "marker-end": "url(#tip-of-line)",
  }, svg("title", {}, words(`${source === box ? "any of the four" : source} → ${target}`)))]));
  const shape = (name, attributes) => {
    const [x, y, across, down] = boxes[name];
    return svg("rect", { x: x - across / 2, y: y - down / 2, width: across, height: down, ...attributes });
  };
  const nodes = new Map(states.map((state) => {
    const [x, y, across, down] = boxes[state];
    const count = svg("text", { class: "count", x: x + across / 2 - 2, y: y - down / 2 - 7, "text-anchor": "end" });
    const node = svg("g", { class: `state s-${state}` },
      svg("title", {}, call.states[state]),
      shape(state, { rx: 10 }),
      svg("text", { "text-anchor": "middle" }, linesOf(state).map((line, index, all) =>
        svg("tspan", { x, y: y + 8 + (index - (all.length - 1) / 2) * LINE }, line))),
      count);
    return [state, { node, count }];
  }));

  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "state-now" },
    svg("defs", {}, arrow("tip-of-line")),
    shape(box, { class: "talking", rx: 16 }),
    [...lines].sort(([one], [other]) => made.get(one).length - made.get(other).length).map(([, line]) => line),
    [...nodes.values()].map(({ node }) => node));
  byId("diagram").append(picture);

  let before = 0;
  let lit = null;
  const weights = new Map();
  cursor.onMove(({ step }) => {
    if (!trace.count || step === before) return;
    before = step;
    const present = trace.target(step);
    let last = null;
    let lastAt = 0;
    let moves = 0;
    for (const [name, at] of made) {
      const times = lastAtMost(at, step) + 1;
      moves += times;
      if (times && at[times - 1] > lastAt) [last, lastAt] = [lines.get(name), at[times - 1]];
      // Touching a line costs more than all that is reckoned here.
      const weight = times ? (1.6 + Math.min(4.4, Math.log2(times + 1) * 1.1)).toFixed(1) : "";
      if (weights.get(name) === weight) continue;
      weights.set(name, weight);
      lines.get(name).classList.toggle("been", times > 0);
      lines.get(name).style.strokeWidth = weight;
    }
    if (lit !== last) {
      lit?.classList.remove("last");
      last?.classList.add("last");
      lit = last;
    }
    for (const [state, { node, count }] of nodes) {
      const times = lastAtMost(entered.get(state), step) + 1;
      node.classList.toggle("been", times > 0);
      node.classList.toggle("now", state === present);
      count.textContent = times > 1 ? `${times}×` : "";
    }
    const since = trace.times[lastAt ? lastAt - 1 : 0];
    byId("state-now").replaceChildren(
      el("span", { class: `chip s-${present}` }, words(present)),
      ` since ${clock(since).slice(0, -2)}, after ${moves} move${moves === 1 ? "" : "s"}. `,
      el("span", { class: "muted" }, call.states[present]));
  });
})();

// The state diagram: where the session is, how it got there, and where it never went.

(() => {
  // Laid out by hand; the moves between the states come from the machine's table.
  const STATES = {
    connecting: [84, 62],
    awaiting_inputs: [304, 62],
    config_sent: [508, 62],
    reconnecting: [84, 282],
    ready: [246, 216],
    listening: [418, 216],
    tool_pending: [246, 346],
    speaking: [418, 346],
    closed: [560, 282],
  };
  const BOX = { left: 178, top: 168, right: 490, bottom: 400 };
  const TALKING = ["ready", "listening", "tool_pending", "speaking"];
  // How far a move bends to its left, as a share of its length; the others bend a little.
  const BENDS = {
    "connecting>config_sent": 0.13, "config_sent>connecting": 0.11,
    "connecting>awaiting_inputs": 0, "awaiting_inputs>connecting": 0.14, "awaiting_inputs>config_sent": 0,
    "connecting>closed": 0.36, "awaiting_inputs>closed": 0.34, "config_sent>closed": 0.16,
    "reconnecting>closed": -0.36, "reconnecting>connecting": 0, "box>reconnecting": 0,
    "box>closed": 0, "config_sent>ready": 0.05, "config_sent>tool_pending": 0.02, "config_sent>speaking": -0.12,
    "reconnecting>ready": 0.1, "reconnecting>tool_pending": -0.1,
  };
  const LINE = 23;
  const linesOf = (state) => words(state).split(" ");

  // A move out of all four talking states is drawn once, from the box that they stand in.
  const drawnAs = (source, target) =>
    TALKING.includes(source) && !TALKING.includes(target) ? `box>${target}` : `${source}>${target}`;
  const drawn = [...new Set(call.moves.map(([source, target]) => drawnAs(source, target)))];

  // The steps at which each move was made, and each state entered.
  const made = new Map(drawn.map((name) => [name, []]));
  const entered = new Map(Object.keys(STATES).map((state) => [state, []]));
  if (trace.count) entered.get(trace.source(1))?.push(0);
  for (let step = 1; step <= trace.count; step++) {
    if (!trace.moved(step)) continue;
    made.get(drawnAs(trace.source(step), trace.target(step)))?.push(step);
    entered.get(trace.target(step))?.push(step);
  }

  function outline(name) {
    if (name === "box") {
      return { x: (BOX.left + BOX.right) / 2, y: (BOX.top + BOX.bottom) / 2,
        w: BOX.right - BOX.left, h: BOX.bottom - BOX.top };
    }
    const [x, y] = STATES[name];
    const lines = linesOf(name);
    const longest = Math.max(...lines.map((line) => line.length));
    return { x, y, w: Math.max(90, longest * 11.2 + 24), h: lines.length * LINE + 18 };
  }

  // Where the line from a shape's middle towards a point leaves the shape.
  function edgeOf({ x, y, w, h }, to, gap) {
    const dx = to.x - x;
    const dy = to.y - y;
    const scale = Math.min((w / 2 + gap) / Math.abs(dx || 1e-9), (h / 2 + gap) / Math.abs(dy || 1e-9));
    return { x: x + dx * scale, y: y + dy * scale };
  }

  function curve(name) {
    const [source, target] = name.split(">").map(outline);
    const bend = BENDS[name] ?? 0.12;
    const dx = target.x - source.x;
    const dy = target.y - source.y;
    const control = {
      x: (source.x + target.x) / 2 + dy * bend * 2,
      y: (source.y + target.y) / 2 - dx * bend * 2,
    };
    const [from, by, to] = [edgeOf(source, control, 1), control, edgeOf(target, control, 4)].map(
      ({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`,
    );
    return `M${from} Q${by} ${to}`;
  }

  const arrow = (id) => svg("marker", { id, viewBox: "0 0 8 8", refX: 6.5, refY: 4, markerWidth: 12,
    markerHeight: 12, markerUnits: "userSpaceOnUse", orient: "auto-start-reverse" },
  svg("path", { d: "M0 0.5 L8 4 L0 7.5 z" }));

  const lines = new Map(drawn.map((name) => [name, svg("path", {
    d: curve(name), class: made.get(name).length ? "line" : "line never", "marker-end": "url(#tip-of-line)",
  }, svg("title", {}, words(name.replace("box", "any of the four").replace(">", " → "))))]));
  const nodes = new Map(Object.keys(STATES).map((state) => {
    const { x, y, w, h } = outline(state);
    const count = svg("text", { class: "count", x: x + w / 2 - 2, y: y - h / 2 - 6, "text-anchor": "end" });
    const node = svg("g", { class: `state s-${state}` },
      svg("title", {}, call.states[state]),
      svg("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 9 }),
      svg("text", { "text-anchor": "middle" }, linesOf(state).map((line, index, all) =>
        svg("tspan", { x, y: y + 7 + (index - (all.length - 1) / 2) * LINE }, line))),
      count);
    return [state, { node, count }];
  }));

  const picture = svg("svg", { viewBox: "0 -16 624 472", role: "img", "aria-labelledby": "state-now" },
    svg("defs", {}, arrow("tip-of-line")),
    svg("rect", { class: "talking", x: BOX.left, y: BOX.top, width: BOX.right - BOX.left,
      height: BOX.bottom - BOX.top, rx: 16 }),
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

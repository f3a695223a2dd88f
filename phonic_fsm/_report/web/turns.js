// The turns: for each, what the caller waited for, as bars on one scale and in words.

(() => {
  const { turns } = call;
  byId("turns-panel").hidden = !turns.length;
  if (!turns.length) return;
  const WIDTH = 600;
  const most = Math.max(...turns.map(({ start, end }) => end - start), 0.1);
  const place = (seconds) => (seconds / most) * WIDTH;

  function bars({ start, parts }) {
    return svg("svg", { class: "waterfall", viewBox: `0 0 ${WIDTH} 14`, preserveAspectRatio: "none",
      "aria-hidden": "true" },
    parts.map((part) => svg("rect", {
      class: `part ${part.kind}`, x: place(part.start - start), y: 0,
      width: Math.max(1, place(part.end - part.start)), height: 14,
    }, svg("title", {}, part.text))));
  }

  byId("turns").append(...turns.map((turn) => el("tr", {},
    el("td", {}, el("a", { href: `#step=${turn.step}` }, clock(turn.start).slice(0, -2))),
    el("td", { class: "latency" }, turn.latency === null ? "no answer" : inSeconds(turn.latency),
      turn.by_sound ? null : el("abbr", { title: "from the end of the turn: Phonic's word, or the commit" }, " *")),
    el("td", {}, bars(turn),
      el("ul", { class: "parts" }, turn.parts.map((part) => el("li", {},
        el("i", { class: `part ${part.kind}`, "aria-hidden": "true" }), part.text)))))));
  byId("by-phonic").hidden = turns.every(({ by_sound: bySound }) => bySound);
})();

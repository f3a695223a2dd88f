// The transcript, with the silences and outages where they fell.

const WHO = { caller: "Caller", assistant: "Assistant", typed: "Typed", system: "System", tool: "Tool" };

(() => {
  const list = byId("talk");
  const items = call.conversation.map((entry) => ({ at: entry.at, step: entry.step, node: said(entry) }));
  for (const finding of findings) {
    if (finding.silence || finding.rule === "outage") {
      items.push({ at: finding.start + 0.0005, step: finding.step, node: gap(finding) });
    }
  }
  items.sort((one, other) => one.at - other.at);
  if (!items.length) list.append(el("li", { class: "none muted" }, "Nothing was said."));
  list.append(...items.map(({ node }) => node));
  const moments = items.map(({ at }) => at);

  function said({ who, text, unheard, at, step }) {
    return el("li", { class: `said ${who}` },
      el("button", { onclick: () => cursor.toTime(Math.max(at, trace.times[step - 1])) },
        el("span", { class: "who" }, WHO[who]),
        el("time", { class: "muted" }, clock(at).slice(0, -2)),
        el("span", { class: "text", dir: "auto" }, text,
          unheard ? el("s", { title: "The caller did not hear this." }, unheard) : null,
          unheard ? el("span", { class: "hidden" }, " (what is struck through was not heard)") : null)));
  }

  function gap({ title, step, severity }) {
    return el("li", { class: `gap ${severity}` },
      el("button", { onclick: () => cursor.toStep(step) }, title));
  }

  let lit = null;
  cursor.onMove(({ time }) => {
    const index = lastAtMost(moments, time + 0.0006);
    const node = index < 0 ? null : items[index].node;
    if (node === lit) return;
    if (lit) lit.removeAttribute("aria-current");
    lit = node;
    if (!node) return;
    node.setAttribute("aria-current", "true");
    const top = node.offsetTop;
    if (top < list.scrollTop || top + node.offsetHeight > list.scrollTop + list.clientHeight) {
      list.scrollTop = top - list.clientHeight / 3;
    }
  });
})();

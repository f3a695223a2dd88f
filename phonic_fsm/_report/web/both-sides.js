// Phonic's record beside the trace, where it was fetched.

(() => {
  const compared = call.both_sides;
  if (!compared) return;
  const panel = byId("both-sides");
  panel.hidden = false;
  if (compared.problem) panel.append(el("p", {}, `${compared.problem}.`));
  for (const conversation of compared.conversations) panel.append(...shown(conversation));

  function shown({ id, figures, remarks, rows }) {
    const differing = rows.filter(({ differs }) => differs).length;
    const heading = `${id}: ${differing ? `${differing} of ${rows.length} turns differ` : "no turn differs"}`;
    return [
      el("h3", { dir: "auto" }, heading),
      el("dl", { class: "figures" },
        figures.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
      remarks.map((remark) => el("p", {}, `${remark}.`)),
      el("div", { class: "compared", role: "region", "aria-label": `Both sides of ${id}`, tabindex: 0 },
        el("table", {},
          el("thead", {}, el("tr", {},
            ["When", "Who", "In this trace", "In Phonic's record"].map((name) => el("th", { scope: "col" }, name)))),
          el("tbody", {}, rows.map(row)))),
    ].flat();
  }

  function row({ who, at, step, ours, theirs, deleted, later, differs }) {
    const goes = step !== null ? () => cursor.toStep(step) : () => cursor.toTime(at);
    return el("tr", { class: differs ? "differs" : null },
      el("td", {}, at === null ? "" : el("button", { onclick: goes }, clock(at).slice(0, -2))),
      el("td", { class: who }, el("span", { class: "who" }, WHO[who])),
      el("td", { dir: "auto" }, ours ?? missing("nothing")),
      el("td", { dir: "auto" }, theirs ?? missing(deleted ? "deleted" : "nothing"),
        later ? el("span", { class: "later" }, `after the call: ${later}`) : null));
  }

  function missing(why) {
    return el("span", { class: "muted" }, why);
  }
})();

// The top of the page: whether the replay agrees, what stands out, the numbers.

const findings = call.findings;

// The mark after the present moment, or before it; from the last to the first and back.
function findingFrom(step, direction) {
  const steps = findings.map((finding) => finding.step);
  const ahead = direction > 0 ? steps.filter((at) => at > step) : steps.filter((at) => at < step);
  if (!steps.length) return null;
  if (ahead.length) return direction > 0 ? Math.min(...ahead) : Math.max(...ahead);
  return direction > 0 ? Math.min(...steps) : Math.max(...steps);
}

(() => {
  const began = new Date(call.started);
  const length = inSeconds(call.lanes.seconds);
  byId("about").append(
    `${trace.count} steps in ${call.lanes.seconds < 60 ? length : clock(call.lanes.seconds).slice(0, -4)}`,
    isNaN(began) ? "" : `, recorded ${began.toISOString().slice(0, 16).replace("T", " ")} UTC`,
    ` with phonic-fsm ${call.package}`,
  );

  const { end } = call.lanes;
  byId("end").append(...(end
    ? [el("strong", {}, `${end.title}. `), el("span", { class: "muted" }, `${end.sentence} `),
      el("a", { href: `#step=${end.step}` }, `Step ${end.step}`)]
    : [el("span", { class: "muted" }, "The call has no end in this trace.")]));

  byId("not-observed").hidden = call.lanes.observed;

  const verdict = byId("verdict");
  const bad = call.difference || call.problem;
  verdict.classList.add(bad ? "bad" : "good");
  verdict.textContent = call.difference
    ? `Replay diverges at step ${call.difference.step}`
    : call.problem ? "The file is not whole" : "Replays identically";

  const list = byId("findings");
  if (!findings.length) {
    list.append(el("li", { class: "none" }, "Nothing: no rule found anything in this call."));
  }
  findings.forEach((finding, index) => {
    list.append(el("li", {},
      el("button", {
        class: `finding ${finding.severity}`,
        "data-step": finding.step,
        onclick: () => { cursor.toStep(finding.step); timeline.show(finding.start, finding.end); },
      },
      el("span", { class: "flag", "aria-hidden": "true" }, String(index + 1)),
      el("strong", {}, finding.title),
      el("time", {}, `at ${clock(finding.start).slice(0, -2)}`),
      el("span", { class: "sentence", dir: "auto" }, finding.sentence)),
    ));
  });

  for (const [name, when] of call.rules) {
    byId("rules").append(el("dt", {}, name), el("dd", {}, when));
  }

  for (const { name, value, beside, note, series, bad: worrying } of call.numbers) {
    byId("numbers").append(el("div", { class: worrying ? "number worrying" : "number", title: note },
      el("dt", {}, name),
      el("dd", {}, el("span", { class: "value" }, value),
        beside ? el("span", { class: "beside" }, beside) : null, series.length > 1 ? bars(series) : null,
        el("span", { class: "note" }, note)),
    ));
  }

  // A bar for each value, all to one scale.
  function bars(series) {
    const most = Math.max(...series, 0.001);
    const shown = series.slice(-40);
    return svg("svg", { class: "bars", viewBox: `0 0 ${shown.length * 5} 20`, "aria-hidden": "true",
      width: shown.length * 5, height: 20 },
    shown.map((value, index) => {
      const height = Math.max(1.5, (value / most) * 20);
      return svg("rect", { x: index * 5, y: 20 - height, width: 4, height, rx: 1 },
        svg("title", {}, inSeconds(value)));
    }));
  }
})();

// What the timeline shows, in words: for its tips, and as a table for those who do not see it.

const span = ({ start, end }) => `${clock(start)} to ${clock(end)}, ${inSeconds(end - start)}`;

function aboutTool(tool) {
  const after = (moment) => inSeconds(moment - tool.start);
  return [
    `${tool.name} ${short(tool.arguments)} called at ${clock(tool.start)}`,
    tool.began === null ? null : `LiveKit ran it after ${after(tool.began)}`,
    tool.returned === null ? null
      : tool.began === null ? `it ended after ${after(tool.returned)} (${tool.status})`
        : `it took ${inSeconds(tool.returned - tool.began)} (${tool.status})`,
    tool.given === null ? "no output" : `output after ${after(tool.given)}: ${short(tool.output)}`,
    tool.sent === null ? null : `sent after ${after(tool.sent)}`,
    tool.acknowledged === null ? null : `acknowledged after ${after(tool.acknowledged)}`,
    tool.carried === null ? null : `told with the history after ${after(tool.carried)}`,
    tool.told === null ? null : `told in words after ${after(tool.told)}`,
    { interrupted: "interrupted", "handed over": "forgotten at the handoff" }[tool.ended],
    tool.problem,
  ].filter(Boolean).join("; ");
}

const aboutChange = ({ text, told }) => `${text}${told ? `, told by ${told}` : ""}`;

function aboutLink(link) {
  const what = { connecting: "Connecting", open: "Connected", lost: "Connection lost" }[link.kind];
  const tries = link.attempts.length ? `; attempts at ${link.attempts.map(clock).join(", ")}` : "";
  return `${what}, ${span(link)}${link.cause ? `: it ${link.cause}` : ""}${tries}`;
}

function aboutCallerAudio(part) {
  const loud = part.dbfs === null
    ? (part.received_ms ? "digital silence" : "no audio") : `${part.dbfs} dBFS, peak ${part.peak} dBFS`;
  const rest = [["sent", part.sent_ms], ["filled with silence", part.filled_ms], ["dropped", part.dropped_ms],
    ["of that behind a slow connection", part.overflowed_ms],
    ["waiting", part.waiting_ms]].filter(([, ms]) => ms).map(([what, ms]) => `${what} ${ms} ms`);
  const each = part.end - part.start > 1.5 ? " a second" : "";
  return [`Caller's audio, ${span(part)}: ${loud}`, `${part.received_ms} ms${each} came`, ...rest].join("; ");
}

(() => {
  const details = byId("as-table");
  details.addEventListener("toggle", () => {
    const { lanes } = call;
    const holder = details.querySelector("div");
    if (!details.open || holder.firstChild) return;
    const all = [
      ...lanes.caller.map((one) => ["Caller", one, one.text]),
      ...lanes.caller_audio.map((one) => ["Caller's audio", one, aboutCallerAudio(one)]),
      ...lanes.assistant.map((one) => ["Assistant", one,
        `${one.words.map(([, word]) => word).join("")}${one.played ? "" : " (LiveKit did not play it)"}`]),
      ...lanes.playback.map((one) => ["Played", one,
        one.interrupted ? "interrupted" : one.finished ? "to its end" : "and no end of it is told"]),
      ...lanes.tools.map((one) => ["Tool", one, aboutTool(one)]),
      ...lanes.connection.map((one) => ["Connection", one, aboutLink(one)]),
      ...lanes.changes.map((one) => ["Change", { ...one, start: one.at, end: one.at }, aboutChange(one)]),
      ...call.log.map((one) =>
        ["Log", { start: one.at, end: one.at, step: trace.at(one.at) }, `${one.level} ${one.text}`]),
      ...lanes.agent.map((one) => ["Agent, as LiveKit sees it", one, words(one.state)]),
      ...lanes.states.map((one) => ["State", one, words(one.state)]),
    ].sort(([, one], [, other]) => one.start - other.start);
    const names = ["From", "To", "Lane", "What", "Step"];
    holder.append(el("table", {},
      el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, all.map(([lane, { start, end, step }, text]) => el("tr", {},
        el("td", {}, clock(start)),
        el("td", {}, clock(end)),
        el("td", {}, lane),
        el("td", { dir: "auto" }, text),
        el("td", {}, el("a", { href: `#step=${step}` }, String(step))))))));
  });
})();

// The timeline: lanes drawn on a canvas, a window onto them that zooms and pans, a needle.

const timeline = (() => {
  const stage = byId("timeline");
  const canvas = byId("lanes");
  const overview = byId("overview");
  const strip = overview.querySelector("canvas");
  const stripNeedle = overview.querySelector(".needle");
  const needle = stage.querySelector(".needle");
  const tip = byId("tip");
  const { lanes } = call;
  const SHORTEST = 0.05;
  const STRIP = 28;
  const READABLE = 12;
  const WAVE = 22;
  const TONES = { error: "severe", warning: "mild", note: "note" };
  const LOG_TONES = { critical: "severe", error: "severe", warning: "mild" };
  const AGENT = { listening: "listening", thinking: "tool_pending", speaking: "speaking" };
  const FONT = "system-ui, sans-serif";
  const whole = { from: 0, to: Math.max(lanes.seconds, ...lanes.assistant.map((speech) => speech.end), 0.1) };
  // A little air on both sides.
  const air = (whole.to - whole.from) * 0.012;
  whole.from -= air;
  whole.to += air;

  let view = { ...whole };
  let colours = {};
  let width = 0;
  let gutter = 0;
  let hits = [];
  const rows = {};

  // -- tools that overlap stand under each other ---------------------------------------------

  const toolRows = [];
  const rowOfTool = lanes.tools.map((tool) => {
    let row = toolRows.findIndex((end) => end <= tool.start);
    if (row < 0) row = toolRows.push(0) - 1;
    toolRows[row] = tool.end;
    return Math.min(row, 3);
  });

  function layOut() {
    width = stage.clientWidth;
    gutter = width < 640 ? 0 : 92;
    const caption = gutter ? 0 : 14;
    let top = 24;
    const place = (name, height) => {
      rows[name] = { top: top + caption, height, caption: top };
      top += caption + height + 8;
    };
    place("Marks", findings.length ? 18 : 0);
    place("Caller", lanes.caller_audio.length ? 50 + WAVE : 50);
    place("Assistant", 86);
    place("Tools", Math.max(1, Math.min(4, toolRows.length)) * 24);
    place("Connection", 22);
    if (lanes.changes.length) place("Changes", 18);
    if (call.log.length) place("Log", 14);
    if (lanes.agent.length) place("Agent", 20);
    place("State", 26);
    stage.style.height = `${top}px`;
    fitCanvas(canvas, width, top);
    fitCanvas(strip, overview.clientWidth, STRIP);
  }

  function fitCanvas(target, across, down) {
    const dense = window.devicePixelRatio || 1;
    target.width = Math.round(across * dense);
    target.height = Math.round(down * dense);
    target.style.height = `${down}px`;
    target.getContext("2d").setTransform(dense, 0, 0, dense, 0, 0);
  }

  function readColours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "muted", "line", "panel", "severe", "severe-soft", "mild", "note",
      "caller", "assistant", "tool", "good", "on-colour"];
    colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    for (const state of Object.keys(call.states)) {
      colours[state] = style.getPropertyValue(`--s-${state}`).trim();
    }
  }

  // -- time and place ------------------------------------------------------------------------

  const x = (time) => gutter + ((time - view.from) / (view.to - view.from)) * (width - gutter);
  const timeAt = (place) => view.from + ((place - gutter) / (width - gutter)) * (view.to - view.from);
  const ofWhole = (time) => (time - whole.from) / (whole.to - whole.from);
  const inView = ({ start, end }) => (end ?? start) >= view.from && start <= view.to;

  function look(from, to) {
    const most = whole.to - whole.from;
    const span = Math.min(most, Math.max(SHORTEST, to - from));
    const middle = (from + to) / 2;
    const start = Math.min(Math.max(whole.from, middle - span / 2), whole.to - span);
    view = { from: start, to: start + span };
    draw();
  }

  function zoom(factor, around = cursor.time) {
    const pivot = around >= view.from && around <= view.to ? around : (view.from + view.to) / 2;
    look(pivot - (pivot - view.from) * factor, pivot + (view.to - pivot) * factor);
  }

  const pan = (seconds) => look(view.from + seconds, view.to + seconds);

  // -- drawing -------------------------------------------------------------------------------

  function draw() {
    if (!width) return;
    const pen = canvas.getContext("2d");
    hits = [];
    pen.clearRect(0, 0, width, canvas.height);
    pen.textBaseline = "middle";
    drawRuler(pen);
    drawMarks(pen);
    drawNames(pen);
    pen.save();
    pen.beginPath();
    pen.rect(gutter, 0, width - gutter, canvas.height);
    pen.clip();
    drawCaller(pen);
    drawPlayback(pen);
    drawAssistant(pen);
    drawTools(pen);
    drawConnection(pen);
    drawChanges(pen);
    drawLog(pen);
    drawSpans(pen, rows.Agent, lanes.agent, (state) => colours[AGENT[state]] ?? colours.muted, "LiveKit's agent: ");
    drawSpans(pen, rows.State, lanes.states, (state) => colours[state], "");
    pen.restore();
    drawOverview();
    moveNeedle();
  }

  function drawNames(pen) {
    pen.textAlign = "left";
    for (const [name, { top, height, caption }] of Object.entries(rows)) {
      if (!height) continue;
      pen.fillStyle = colours.muted;
      pen.font = `600 ${gutter ? 12 : 10.5}px ${FONT}`;
      pen.fillText(name, 0, gutter ? top + height / 2 : caption + 7);
      if (name !== "Marks") {
        pen.fillStyle = colours.line;
        pen.fillRect(gutter, top + height + 3.5, width - gutter, 1);
      }
    }
  }

  function drawRuler(pen) {
    const span = view.to - view.from;
    const least = (span / (width - gutter)) * 84;
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600]
      .find((candidate) => candidate >= least) ?? Math.ceil(least / 7200) * 7200;
    pen.font = `11px ${FONT}`;
    pen.textAlign = "left";
    const bottom = rows.State.top + rows.State.height;
    for (let time = Math.ceil(Math.max(0, view.from) / step) * step; time <= view.to; time += step) {
      const at = x(time);
      pen.fillStyle = colours.line;
      pen.fillRect(Math.round(at), 4, 1, bottom - 4);
      pen.fillStyle = colours.muted;
      const decimals = step < 0.1 ? 2 : step < 1 ? 1 : 0;
      const minutes = Math.floor(time / 60 + 1e-9);
      const seconds = (time - minutes * 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
      if (at < width - 34) pen.fillText(`${minutes}:${seconds}`, at + 4, 10);
    }
  }

  function drawMarks(pen) {
    const { top, height } = rows.Marks;
    const bottom = rows.State.top + rows.State.height;
    let free = -Infinity;
    findings.forEach((finding, index) => {
      if (!inView(finding)) return;
      const left = Math.max(gutter, x(finding.start));
      const right = Math.min(width, x(finding.end));
      if (finding.severity === "error") {
        pen.fillStyle = colours["severe-soft"];
        pen.fillRect(left, top + height, Math.max(2, right - left), bottom - top - height);
      }
      // Flags that would cover each other stand side by side, while they can still be told apart.
      const at = Math.max(left, free);
      pen.fillStyle = colours[TONES[finding.severity]];
      if (at - left > 44) {
        pen.fillRect(left, top + 12, 2, 6);
        return;
      }
      free = at + 20;
      box(pen, at, top, 18, 16, 4);
      pen.fillStyle = colours["on-colour"];
      pen.font = `700 11px ${FONT}`;
      pen.textAlign = "center";
      pen.fillText(String(index + 1), at + 9, top + 8.5);
      hit(at, top, 18, 16, `${finding.title}. ${finding.sentence}`, finding.step);
    });
    pen.textAlign = "left";
  }

  function drawCaller(pen) {
    const { top, height } = rows.Caller;
    for (const speech of lanes.caller) {
      if (!inView(speech)) continue;
      const [left, across] = extent(speech);
      pen.fillStyle = colours.caller;
      box(pen, left, top, across, 12, 3);
      pen.fillStyle = colours.ink;
      pen.font = `12px ${FONT}`;
      wrapped(pen, speech.text, ...readable(left, top + 22, across), 14, 3);
      hit(left, top, across, 50, `Caller, ${span(speech)}: ${speech.text || "no transcript"}`, speech.step);
    }
    pen.fillStyle = colours.caller;
    for (const part of lanes.caller_audio) {
      if (!inView(part)) continue;
      drawWave(pen, part, top + height - 1);
      const [left, across] = extent(part);
      hit(left, top + 52, across, WAVE, aboutCallerAudio(part), part.step);
    }
  }

  // How loud the caller was: by the tenth of a second where that can be seen, else as a whole.
  function drawWave(pen, part, bottom) {
    const bar = (start, end, level) => {
      const size = 1 + Math.min(1, Math.max(0, (level + 70) / 60)) * (WAVE - 3);
      const left = x(start);
      pen.fillRect(left, bottom - size, Math.max(1, x(end) - left - (x(end) - left > 3 ? 1 : 0)), size);
    };
    const whole = part.received_ms ? part.dbfs ?? -100 : -100;
    pen.globalAlpha = part.received_ms ? 0.75 : 0.3;
    const seen = part.levels.length && x(part.start + 1) - x(part.start) > 8;
    if (seen) {
      const share = 1 / Math.max(10, part.levels.length);
      part.levels.forEach((level, index) => {
        const start = part.start + index * share;
        if (start < part.end) bar(start, Math.min(part.end, start + share), level);
      });
    }
    const rest = seen ? part.start + 1 : part.start;
    if (rest < part.end) bar(rest, part.end, whole);
    pen.globalAlpha = 1;
  }

  function drawAssistant(pen) {
    const { top } = rows.Assistant;
    const middle = top + 19;
    for (const [index, speech] of lanes.assistant.entries()) {
      const end = speech.unheard ?? speech.end;
      if (!inView({ start: speech.start, end })) continue;
      const [left, across] = extent(speech);
      drawLevels(pen, speech, middle, 36, lanes.assistant[index + 1]?.start ?? end);
      pen.fillStyle = colours.ink;
      pen.font = `12px ${FONT}`;
      const all = speech.unheard === null ? across : Math.max(across, x(end) - left);
      drawWords(pen, speech, left, top + 48, across);
      if (speech.unheard !== null && speech.played) {
        pen.fillStyle = colours.severe;
        pen.fillRect(x(speech.end) - 1, top + 1, 2, 36);
      }
      const text = speech.words.map(([, word]) => word).join("");
      const cut = !speech.played ? " – LiveKit did not play it" : speech.unheard === null
        ? "" : ` – cut off, ${inSeconds(speech.unheard - speech.end)} were not heard`;
      hit(left, top, all, 90, `Assistant, ${span(speech)}: ${text}${cut}`, speech.step);
    }
  }

  // What LiveKit's output really played, under what is calculated from the trace.
  function drawPlayback(pen) {
    const { top } = rows.Assistant;
    for (const played of lanes.playback) {
      if (!inView(played)) continue;
      const [left, across] = extent(played);
      pen.fillStyle = played.interrupted ? colours.severe : colours.assistant;
      pen.fillRect(left, top + 39, across, 3);
      hit(left, top + 38, across, 5, `Played, ${span(played)}${played.interrupted ? ", interrupted" : ""}`, played.step);
    }
  }

  // Each bar shows the loudest of what falls into it. What was not heard is faint, and gives way.
  function drawLevels(pen, speech, middle, height, next) {
    const end = speech.unheard === null ? speech.end : Math.max(speech.end, Math.min(speech.unheard, next));
    const first = Math.max(gutter, Math.floor(x(speech.start)));
    const last = Math.min(width, Math.ceil(x(end)));
    const cut = speech.played ? x(speech.end) : -Infinity;
    for (let column = first; column < last; column += 3) {
      const from = Math.max(0, Math.floor((timeAt(column) - speech.start) / call.bin));
      const to = Math.max(from + 1, Math.ceil((timeAt(column + 3) - speech.start) / call.bin));
      let loudest = -100;
      for (let bin = from; bin < to && bin < speech.levels.length; bin++) {
        loudest = Math.max(loudest, speech.levels[bin]);
      }
      // From -50 dBFS, which is hardly heard, to full scale.
      const size = Math.max(1.5, Math.min(1, Math.max(0, (loudest + 50) / 42)) * height);
      pen.globalAlpha = column < cut ? 1 : 0.22;
      pen.fillStyle = colours.assistant;
      pen.fillRect(column, middle - size / 2, 2, size);
    }
    pen.globalAlpha = 1;
  }

  // Each word where it is spoken, if there is room; else the text in lines.
  function drawWords(pen, speech, left, top, across) {
    if (!speech.played) return;
    const heard = speech.words.filter(([at]) => at < speech.end || speech.unheard === null);
    const text = heard.map(([, word]) => word).join("");
    if (across < 24) return;
    if (pen.measureText(text).width < across * 0.96) {
      let free = left;
      for (const [at, word] of heard) {
        const place = Math.max(free, x(at));
        const shown = place === free ? word : word.trimStart();
        pen.fillText(shown, place, top);
        free = place + pen.measureText(shown).width;
      }
    } else {
      wrapped(pen, text.trim(), ...readable(left, top, across), 15, 3);
    }
  }

  function drawTools(pen) {
    lanes.tools.forEach((tool, index) => {
      if (!inView(tool)) return;
      const top = rows.Tools.top + rowOfTool[index] * 24;
      const [left, across] = extent(tool);
      const given = tool.given === null ? x(tool.end) : Math.max(left, x(tool.given));
      const began = tool.began === null ? left : Math.max(left, x(tool.began));
      pen.globalAlpha = 0.28;
      pen.fillStyle = tool.problem || tool.given === null ? colours.severe : colours.tool;
      box(pen, left, top, across, 20, 4);
      pen.globalAlpha = 1;
      box(pen, began, top, Math.max(2, given - began), 20, 4);
      if (tool.sent !== null) tick(pen, colours.ink, x(tool.sent), top, 20);
      pen.fillStyle = colours.ink;
      pen.font = `600 12px ${FONT}`;
      const label = [`${tool.name} ${short(tool.arguments, 60)}`, tool.name];
      const rest = left + across - given;
      // The name stands where there is room: while the tool runs, while its output waits, behind.
      const fits = (room) => label.find((text) => pen.measureText(text).width + 12 < room);
      if (fits(given - left)) {
        pen.fillStyle = colours["on-colour"];
        pen.fillText(fits(given - left), left + 6, top + 10.5);
        pen.fillStyle = colours.ink;
        pen.font = `12px ${FONT}`;
        const what = tool.given === null ? "no output" : `→ ${short(tool.output, 80)}`;
        clipped(pen, what, given + 6, top + 10.5, x(tool.sent ?? tool.end) - given - 8);
      } else {
        pen.fillStyle = colours.ink;
        const [place, room] = fits(rest) ? [given, rest] : [left + across, nextTool(index) - left - across];
        pen.fillText(fits(room) ?? "", place + 6, top + 10.5);
      }
      hit(left, top, Math.max(across, 8), 20, aboutTool(tool), tool.step);
    });
  }

  function nextTool(index) {
    for (let other = index + 1; other < lanes.tools.length; other++) {
      if (rowOfTool[other] === rowOfTool[index]) return x(lanes.tools[other].start);
    }
    return width;
  }

  function drawConnection(pen) {
    const { top, height } = rows.Connection;
    for (const link of lanes.connection) {
      if (!inView(link)) continue;
      const [left, across] = extent(link);
      const lost = link.kind === "lost";
      pen.fillStyle = lost ? colours.severe : link.kind === "open" ? colours.good : colours.connecting;
      if (link.kind === "open") pen.fillRect(left, top + height / 2 - 2.5, across, 5);
      else box(pen, left, top, Math.max(3, across), height, 4);
      for (const attempt of link.attempts) tick(pen, colours.ink, x(attempt), top + height - 6, 6);
      if (lost) {
        pen.fillStyle = colours["on-colour"];
        pen.font = `600 12px ${FONT}`;
        inner(pen, `lost for ${inSeconds(link.end - link.start)}, ${link.attempts.length} ${link.attempts.length === 1 ? "attempt" : "attempts"}`,
          `lost ${inSeconds(link.end - link.start)}`, ...readable(left, top + height / 2 + 0.5, across));
      }
      hit(left, top, across, height, aboutLink(link), link.step);
    }
  }

  // A flag for each change, and its words where there is room up to the next one.
  function drawChanges(pen) {
    if (!rows.Changes) return;
    const { top, height } = rows.Changes;
    pen.font = `12px ${FONT}`;
    lanes.changes.forEach((change, index) => {
      if (!inView({ start: change.at })) return;
      const left = x(change.at);
      const next = lanes.changes[index + 1];
      tick(pen, change.handoff ? colours.assistant : colours.muted, left + 1, top, height);
      pen.fillStyle = colours.ink;
      clipped(pen, aboutChange(change), left + 6, top + height / 2, (next ? x(next.at) : width) - left - 10);
      hit(left - 2, top, 8, height, `${clock(change.at)}: ${aboutChange(change)}`, change.step);
    });
  }

  function drawLog(pen) {
    if (!rows.Log) return;
    const { top, height } = rows.Log;
    for (const line of call.log) {
      if (!inView({ start: line.at })) continue;
      tick(pen, colours[LOG_TONES[line.level] ?? "muted"], x(line.at), top, height);
      hit(x(line.at) - 2, top, 4, height, `${clock(line.at)} ${line.level} ${line.text}`, trace.at(line.at));
    }
  }

  function drawSpans(pen, row, spans, colour, whose) {
    if (!row) return;
    const { top, height } = row;
    pen.font = `600 12px ${FONT}`;
    for (const state of spans) {
      if (!inView(state)) continue;
      const [left, across] = extent(state);
      pen.fillStyle = colour(state.state);
      pen.fillRect(left, top, Math.max(1, across - 0.5), height);
      pen.fillStyle = colours["on-colour"];
      inner(pen, words(state.state), null, ...readable(left, top + height / 2 + 0.5, across));
      hit(left, top, Math.max(3, across), height, `${whose}${words(state.state)}, ${span(state)}`, state.step);
    }
  }

  function drawOverview() {
    const pen = strip.getContext("2d");
    const across = overview.clientWidth;
    const place = (time) => ofWhole(time) * across;
    pen.clearRect(0, 0, across, STRIP);
    for (const state of lanes.states) {
      pen.fillStyle = colours[state.state];
      pen.fillRect(place(state.start), 8, Math.max(0.5, place(state.end) - place(state.start)), 12);
    }
    for (const finding of findings) {
      pen.fillStyle = colours[TONES[finding.severity]];
      pen.fillRect(place(finding.start), 2, Math.max(2, place(finding.end) - place(finding.start)), 4);
    }
    const left = place(view.from);
    const size = Math.max(3, place(view.to) - left);
    pen.fillStyle = colours.panel;
    pen.globalAlpha = 0.66;
    pen.fillRect(0, 0, left, STRIP);
    pen.fillRect(left + size, 0, across - left - size, STRIP);
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1.5;
    pen.strokeRect(left + 0.75, 0.75, size - 1.5, STRIP - 1.5);
  }

  function extent({ start, end }) {
    const left = Math.max(gutter - 4, x(start));
    return [left, Math.max(1.5, Math.min(width + 4, x(end)) - left)];
  }

  // Where words begin: in sight, even if what they belong to begins further left.
  function readable(left, top, across) {
    const begin = Math.max(left, gutter + 2);
    return [begin, top, across - (begin - left)];
  }

  function hit(left, top, across, down, text, step) {
    hits.push({ left, top, right: left + Math.max(4, across), bottom: top + down, text, step });
  }

  // -- the needle ----------------------------------------------------------------------------

  function moveNeedle() {
    const place = x(cursor.time);
    needle.hidden = place < gutter - 1 || place > width + 1;
    needle.style.transform = `translateX(${place}px)`;
    stripNeedle.style.transform = `translateX(${ofWhole(cursor.time) * overview.clientWidth}px)`;
  }

  function follow({ step, time }) {
    stage.setAttribute("aria-valuenow", step);
    stage.setAttribute("aria-valuetext", `step ${step} of ${trace.count}, ${clock(time)}, ` +
      `${trace.count ? `${trace.event(step).type}, ${words(trace.target(step))}` : "no steps"}`);
    if (!scrubbing && (time < view.from || time > view.to)) {
      const size = view.to - view.from;
      look(time - size * 0.3, time + size * 0.7);
    } else {
      moveNeedle();
    }
  }

  // -- hands ---------------------------------------------------------------------------------

  let scrubbing = false;
  const fingers = new Map();

  const placeIn = (event, node) => {
    const frame = node.getBoundingClientRect();
    return { left: event.clientX - frame.left, top: event.clientY - frame.top };
  };
  const hitAt = ({ left, top }) =>
    hits.find((some) => left >= some.left && left <= some.right && top >= some.top && top <= some.bottom);

  stage.addEventListener("pointerdown", (event) => {
    const place = placeIn(event, stage);
    fingers.set(event.pointerId, place.left);
    stage.setPointerCapture(event.pointerId);
    if (fingers.size > 1 || event.shiftKey || event.button === 1) {
      scrubbing = false;
      return;
    }
    const flag = place.top < rows.Marks.top + rows.Marks.height ? hitAt(place) : null;
    cursor.pause();
    if (flag) {
      cursor.toStep(flag.step);
    } else if (place.left >= gutter) {
      scrubbing = true;
      cursor.toTime(timeAt(place.left));
    }
  });

  stage.addEventListener("pointermove", (event) => {
    const place = placeIn(event, stage);
    const before = fingers.get(event.pointerId);
    if (before === undefined) {
      showTip(place);
      return;
    }
    const [...held] = fingers.keys();
    fingers.set(event.pointerId, place.left);
    if (held.length === 2) {
      const other = fingers.get(held.find((id) => id !== event.pointerId));
      const factor = Math.max(8, Math.abs(before - other)) / Math.max(8, Math.abs(place.left - other));
      zoom(factor, timeAt((place.left + other) / 2));
    } else if (scrubbing) {
      cursor.toTime(timeAt(place.left));
    } else {
      pan(timeAt(before) - timeAt(place.left));
    }
  });

  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      scrubbing = false;
    });
  }

  stage.addEventListener("pointerleave", () => { tip.hidden = true; });

  stage.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) {
      zoom(Math.exp(event.deltaY * 0.004), timeAt(placeIn(event, stage).left));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const pixels = event.deltaX || event.deltaY;
      pan((pixels / (width - gutter)) * (view.to - view.from));
    } else {
      return;
    }
    event.preventDefault();
  }, { passive: false });

  function dragOverview(event) {
    if (event.type === "pointermove" && !overview.hasPointerCapture(event.pointerId)) return;
    if (event.type === "pointerdown") overview.setPointerCapture(event.pointerId);
    const middle = whole.from + (placeIn(event, overview).left / overview.clientWidth) * (whole.to - whole.from);
    const size = view.to - view.from;
    look(middle - size / 2, middle + size / 2);
  }
  overview.addEventListener("pointerdown", dragOverview);
  overview.addEventListener("pointermove", dragOverview);

  function showTip(place) {
    const found = place.left >= gutter ? hitAt(place) : null;
    tip.hidden = !found;
    if (!found) return;
    tip.textContent = found.text.length > 600 ? `${found.text.slice(0, 600)}…` : found.text;
    tip.style.left = `${Math.min(place.left + 12, Math.max(0, width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${place.top + 16}px`;
  }

  function renew() {
    layOut();
    readColours();
    draw();
  }

  stage.setAttribute("aria-valuemax", Math.max(1, trace.count));
  new ResizeObserver(() => { if (stage.clientWidth !== width) renew(); }).observe(stage);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", renew);
  window.addEventListener("beforeprint", renew);
  tip.hidden = true;
  renew();
  cursor.onMove(follow);

  return {
    zoom,
    fit: () => look(whole.from, whole.to),
    // On a small screen there is room for the words of some seconds only.
    begin() {
      if (!gutter) look(cursor.time - READABLE / 3, cursor.time + (READABLE * 2) / 3);
    },
    // Makes sure that a stretch can be seen, with something around it.
    show(start, end) {
      if (start >= view.from && end <= view.to && (end - start) * 12 > view.to - view.from) return;
      const around = Math.max(2, (end - start) * 0.8);
      look(start - around, end + around);
    },
  };
})();

// The chosen step: what happened, why it came out so, and what the session remembers after it.

(() => {
  const MEMORY = {
    why_over: "letters of why it is over",
    conversation_id: "conversation",
    continuing: "goes on from a lost one",
    connection: "what the connection has shown",
    attempts: "failed attempts to connect",
    refusals: "refusals by a busy Phonic",
    chance: "random number of the last one",
    complaint: "error that a close may follow",
    held: "messages held",
    microphone: "caller's microphone",
    offered: "tools that may be called",
    changes: "changes not yet told",
    carried: "characters of history in the prompt",
    prompt_updates: "update_system_prompt",
    generation: "open answer",
    "generation.phase": "… how far",
    "generation.text": "… characters of text",
    "generation.length": "… characters that count towards its bound",
    "generation.seconds": "… seconds of audio",
    "generation.seconds_seen": "… seconds of audio when last looked at",
    "generation.after": "… item that it follows",
    caller_speaks: "caller speaks",
    caller_turns: "caller's turns whose words are to come",
    last_transcript_id: "transcript that may be taken back",
    leftover: "rest of a turn that is dropped",
    last_message_id: "last answer",
    calls: "tool calls",
    arrival: "arrival of the agent after a takeover",
    repeats: "tool calls that are made again",
    opening: "first moment, in which the assistant may speak unasked",
    unclaimed: "answer that nobody asked for yet",
    "unclaimed.items": "… what it holds",
    told_unasked: "answer told before it was asked for",
    reply: "reply asked for",
    "reply.message": "… by",
    "reply.phase": "… how far",
    wait: "waiting for an answer",
    typed: "typed, not yet sent",
    typed_sent: "characters of what was typed and sent a moment ago",
  };

  const chip = (state) => el("span", { class: `chip s-${state}` }, words(state));

  function fields(value) {
    const entries = fieldsOf(value);
    if (!entries.length) return null;
    return el("dl", { class: "fields" }, entries.map(([name, field]) => [
      el("dt", {}, name),
      el("dd", { dir: "auto" }, typeof field === "string" ? field
        : field && typeof field === "object" && !("bytes" in field) ? JSON.stringify(field, null, 1)
          : short(field, Infinity)),
    ]));
  }

  function row({ target, chooses, guards, answers, does, because }, taken) {
    return el("li", { class: taken ? "taken" : "passed" },
      el("span", { class: "outcome" }, taken ? "taken" : "not taken"),
      el("span", {}, because ? "ignore it" : target ? ["go to ", chip(target)]
        : chooses ? "go where the session's memory leads" : "stay"),
      guards.length
        ? el("ul", { class: "guards" }, guards.map((guard, index) => {
          const said = index < answers.length ? (answers[index] ? "yes" : "no") : "not asked";
          return el("li", { class: `said-${said.replace(" ", "-")}` }, `${guard}? `, el("b", {}, said));
        }))
        : el("span", { class: "muted" }, " in any case"),
      taken && because ? el("p", { class: "because" }, `because ${because}`) : null,
      taken && does.length ? el("ul", { class: "does" }, does.map((what) => el("li", {}, what))) : null,
    );
  }

  function remembered(number) {
    const present = trace.memory(number);
    const telling = present.filter(({ initial, changed }) => changed || !initial);
    return el("dl", { class: "fields memory" }, telling.map(({ name, value, changed }) => [
      el("dt", { class: changed ? "changed" : null, title: name }, MEMORY[name] ?? name),
      el("dd", { class: changed ? "changed" : null, dir: "auto" },
        isNothing(value) ? (value === false ? "no" : "–") : value === true ? "yes"
          : typeof value === "string" ? value : short(value, 400),
        changed ? el("span", { class: "hidden" }, " (changed by this step)") : null),
    ]));
  }

  // The lines of the process's log that were written within a second of the step.
  function logged(number) {
    const at = trace.times[number - 1];
    const near = call.log.filter((line) => Math.abs(line.at - at) <= 1);
    if (!near.length) return "";
    return [el("h3", {}, "The log around it"), el("ol", { class: "log" }, near.map((line) =>
      el("li", { class: line.level }, el("time", { class: "muted" }, clock(line.at)), ` ${line.level} `,
        el("span", { class: "logged", dir: "auto" }, line.text))))];
  }

  function difference(number) {
    const found = call.difference;
    if (!found || found.step !== number) return null;
    return el("div", { class: "difference" },
      el("h3", {}, "The replay differs here"),
      el("p", {}, "in ", el("code", {}, found.where)),
      el("dl", { class: "fields" },
        el("dt", {}, "recorded"), el("dd", {}, JSON.stringify(found.expected, null, 1) ?? "nothing"),
        el("dt", {}, "now"), el("dd", {}, JSON.stringify(found.got, null, 1) ?? "nothing")));
  }

  function show({ step }) {
    if (!trace.count) return;
    const event = trace.event(step);
    const source = trace.source(step);
    const target = trace.target(step);
    const tried = trace.tried(step);
    const effects = trace.effects(step);
    const here = findings.filter((finding) => finding.step === step);
    byId("chosen-title").textContent = `Step ${step}`;
    byId("chosen-body").replaceChildren(
      el("p", { class: "headline" }, el("code", { class: "event" }, event.type),
        el("time", { class: "muted" }, clock(trace.times[step - 1]))),
      el("p", { class: "move" }, chip(source), source === target ? " stays" : [" → ", chip(target)]),
      ...here.map((finding) => el("p", { class: `mark ${finding.severity}`, dir: "auto" },
        el("strong", {}, `${finding.title}. `), finding.sentence)),
      difference(step) ?? "",
      fields(event) ?? "",
      el("h3", {}, "Why"),
      tried.length
        ? el("ol", { class: "tried" }, tried.map((one, index) => row(one, index === tried.length - 1)))
        : el("p", { class: "muted" }, "Not known: the replay ended before this step."),
      el("h3", {}, `Effects (${effects.length})`),
      effects.length
        ? el("ol", { class: "effects" }, effects.map((effect) =>
          el("li", {}, el("code", {}, titleOf(effect)), fields(effect))))
        : el("p", { class: "muted" }, "None."),
      ...[logged(step)].flat(),
      el("h3", {}, "The session's memory after it"),
      trace.explained(step) ? remembered(step) : el("p", { class: "muted" }, "Not known: the replay ended before this step."),
    );
  }

  cursor.onMove(show);
})();

// What if an event had not come, or later, or otherwise, or a setting had been another one? The server
// runs the call again; the steps that come out otherwise stand here beside the recorded ones.

(() => {
  const changes = [];
  let asked = 0;

  const dropping = el("button", { type: "button", onclick: () => add(`drop ${cursor.step}`) });
  const seconds = el("input", { id: "delay", type: "number", min: 0, step: "any", value: 1 });
  const field = el("select", { id: "field", "aria-label": "Field of the event" });
  const value = el("input", { id: "value", "aria-label": "Its value", autocomplete: "off", spellcheck: "false" });
  const setting = el("select", { id: "setting", "aria-label": "Setting" },
    Object.keys(call.settings).map((name) => el("option", { value: name }, name)));
  const set = el("input", { id: "set", "aria-label": "Its value", autocomplete: "off", spellcheck: "false" });
  const list = el("ol", { id: "changes", "aria-label": "Changes" });
  const answer = el("div", { id: "alternative", role: "region", "aria-label": "What comes out otherwise", tabindex: 0 });
  const verdict = el("p", { id: "otherwise", role: "status" });

  const form = (label, parts, change) => {
    const made = el("form", { class: "change" }, ...parts, el("button", {}, label));
    made.addEventListener("submit", (event) => {
      event.preventDefault();
      add(change());
    });
    return made;
  };
  const delaying = el("label", { for: "delay" });
  const editing = el("label", { for: "value" });
  const editForm = form("Edit", [editing, field, value], () => `edit ${cursor.step} ${field.value}=${value.value}`);

  document.querySelector("main").append(
    el("section", { class: "panel", id: "what-if", "aria-labelledby": "what-if-title" },
      el("h2", { id: "what-if-title" }, "What if?"),
      el("p", { class: "muted" }, "The machine runs the call again with your changes. What comes from " +
        "Phonic, the agent and the network comes as it was recorded; timers run out when the machine's would."),
      el("div", { class: "change" }, dropping),
      form("Delay", [delaying, seconds, " s"], () => `delay ${cursor.step} ${seconds.value}`),
      editForm,
      form("Set", [el("label", { for: "set" }, "Make the session with"), setting, set], () => `option ${setting.value}=${set.value}`),
      list, verdict, answer));

  const asText = (held) => (typeof held === "string" ? held : JSON.stringify(held) ?? "");
  const showValue = () => { value.value = asText(trace.event(cursor.step)[field.value]); };
  const showSetting = () => { set.value = asText(call.settings[setting.value]); };
  field.addEventListener("change", showValue);
  setting.addEventListener("change", showSetting);
  showSetting();

  cursor.onMove(({ step }) => {
    if (!trace.count || document.activeElement === value) return;
    const { type, ...fields } = trace.event(step);
    dropping.textContent = `Drop step ${step}, ${type}`;
    delaying.textContent = `Delay step ${step} by`;
    editing.textContent = `Edit step ${step}:`;
    editForm.hidden = !Object.keys(fields).length;
    field.replaceChildren(...Object.keys(fields).map((name) => el("option", { value: name }, name)));
    if (!editForm.hidden) showValue();
  });

  function add(change) {
    changes.push(change);
    ask();
  }

  async function ask() {
    list.replaceChildren(...changes.map((change, index) => el("li", { dir: "auto" }, change, " ",
      el("button", { type: "button", "aria-label": `Take back: ${change}`, onclick: () => {
        changes.splice(index, 1);
        ask();
        // The button is gone, and must not take the focus along.
        (list.querySelector("button") ?? dropping).focus();
      } }, "Take back"))));
    asked += 1;
    const mine = asked;
    if (!changes.length) {
      show("", []);
      return;
    }
    const given = await fetch(call.watched.what_if, { method: "POST", body: JSON.stringify({ changes }) })
      .then((response) => response.json())
      .catch(() => ({ problem: "The server does not answer." }));
    if (mine !== asked) return;
    if (given.problem) show(given.problem, []);
    else showAlternative(given);
  }

  function show(said, parts) {
    verdict.textContent = said;
    answer.replaceChildren(...parts);
  }

  function showAlternative({ steps: others, alike, more, state }) {
    const count = others.length + more;
    const as = (number) => (number ? el("p", { class: "muted" }, `… ${number} ${number === 1 ? "step" : "steps"} as recorded`) : "");
    show(
      count ? `${count} ${count === 1 ? "step comes" : "steps come"} out otherwise; it ends in ${words(state)}.`
        : "Nothing comes out otherwise.",
      [...others.flatMap((one, index) => [as(alike[index]), other(one)]),
        more ? el("p", { class: "muted" }, `${more} more are not shown.`) : as(alike.at(-1))]);
  }

  const move = ({ source, target }) => (source === target ? words(source) : `${words(source)} → ${words(target)}`);
  const effectsOf = (effects, unlike) => el("ul", {}, effects.map((effect) => el("li",
    { class: unlike.includes(JSON.stringify(effect)) ? null : "unlike", dir: "auto" },
    el("code", {}, titleOf(effect)), " ", el("span", { class: "muted" }, brief(effect)))));

  function other({ t, event, source, target, effects, recorded }) {
    const was = recorded && { ...recorded, source: recorded.from, target: recorded.to };
    const now = effects.map((effect) => JSON.stringify(effect));
    const then = (was?.effects ?? []).map((effect) => JSON.stringify(effect));
    return el("div", { class: "other" },
      el("div", {},
        el("p", {}, el("time", {}, clock(t)), " ", el("b", {}, event.type), " ", el("span", { class: "muted", dir: "auto" }, brief(event))),
        el("p", {}, move({ source, target })), effectsOf(effects, then)),
      was
        ? el("div", {},
          el("p", {}, el("time", {}, clock(was.t)), " ", el("a", { href: `#step=${was.seq}` }, `recorded step ${was.seq}`)),
          el("p", {}, move(was)), effectsOf(was.effects, now))
        : el("div", {}, el("p", { class: "muted" }, "Recorded: this timer did not run out here.")));
  }
})();

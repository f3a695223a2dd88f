// Buttons, keys, the address and the voice of a screen reader.

const SPEAKS_AFTER = 250;
let spoken = 0;

// The move of the state before or after a step.
function moveFrom(step, direction) {
  for (let number = step + direction; number >= 1 && number <= trace.count; number += direction) {
    if (trace.moved(number)) return number;
  }
  return step;
}

function toFinding(direction) {
  const step = findingFrom(cursor.step, direction);
  if (step !== null) cursor.toStep(step);
}

function setSpeed(speed) {
  cursor.speed = speed;
}

const playOrPause = () => (cursor.playing ? cursor.pause() : cursor.play());

const KEYS = {
  ArrowLeft: ({ shiftKey }) => cursor.toStep(shiftKey ? moveFrom(cursor.step, -1) : steps.beside(cursor.step, -1)),
  ArrowRight: ({ shiftKey }) => cursor.toStep(shiftKey ? moveFrom(cursor.step, 1) : steps.beside(cursor.step, 1)),
  Home: () => cursor.toStep(1),
  End: () => cursor.toStep(trace.count),
  " ": playOrPause,
  1: () => setSpeed(1),
  4: () => setSpeed(4),
  m: () => sound.toggle(),
  n: () => toFinding(1),
  p: () => toFinding(-1),
  "+": () => timeline.zoom(1 / 1.6),
  "=": () => timeline.zoom(1 / 1.6),
  "-": () => timeline.zoom(1.6),
  0: () => timeline.fit(),
  "/": () => byId("search").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target, key } = event;
  if (target.matches("input")) {
    if (key === "Escape") target.blur();
    return;
  }
  const inList = target.id === "steps" || target.id === "timeline";
  if (inList && (key === "ArrowUp" || key === "ArrowDown")) {
    cursor.toStep(steps.beside(cursor.step, key === "ArrowDown" ? 1 : -1));
  } else if (key === " " && target.closest("button, summary, a")) {
    return;
  } else if (KEYS[key]) {
    KEYS[key](event);
  } else {
    return;
  }
  event.preventDefault();
});

byId("back").addEventListener("click", () => cursor.toStep(steps.beside(cursor.step, -1)));
byId("forward").addEventListener("click", () => cursor.toStep(steps.beside(cursor.step, 1)));
byId("play").addEventListener("click", playOrPause);
byId("speed").addEventListener("click", () => setSpeed(cursor.speed === 1 ? 4 : 1));
byId("mute").addEventListener("click", () => sound.toggle());
byId("next-finding").addEventListener("click", () => toFinding(1));
byId("next-finding").disabled = !findings.length;
byId("zoom-in").addEventListener("click", () => timeline.zoom(1 / 1.6));
byId("zoom-out").addEventListener("click", () => timeline.zoom(1.6));
byId("zoom-fit").addEventListener("click", () => timeline.fit());

cursor.onMove(({ step, time }) => {
  byId("now").textContent = `${clock(time)} · step ${step}`;
  byId("play").textContent = cursor.playing ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", String(cursor.playing));
  byId("speed").textContent = `${cursor.speed}×`;
  if (cursor.playing) return;
  // Browsers count how often an address changes, and nobody listens to every step of a drag.
  clearTimeout(spoken);
  spoken = setTimeout(() => {
    history.replaceState(null, "", `#step=${step}`);
    byId("spoken").textContent =
      `Step ${step}, ${trace.event(step).type}, ${words(trace.target(step))}`;
  }, SPEAKS_AFTER);
});

function followAddress(address) {
  const found = /#step=(\d+)$/.exec(address);
  if (found) cursor.toStep(Number(found[1]));
  return found !== null;
}

// Not where the page is now: the present step may just have been written into its address.
window.addEventListener("hashchange", ({ newURL }) => followAddress(newURL));
steps.refresh();
if (!followAddress(location.href)) cursor.toStep(findings.find(({ severity }) => severity === "error")?.step ?? 1);
timeline.begin();

// A call that is watched. The page follows it as long as the cursor is at the end of what it shows.

(() => {
  const { goes_on: goesOn, changes } = call.watched;
  const LEAST = 1000;
  // How long the page took to be made: so it is not asked for all the time.
  const pause = Math.max(LEAST, 4 * performance.now());
  const made = performance.now();
  const standing = el("p", { id: "standing" });
  const more = el("button", { id: "more", hidden: true, onclick: showEnd }, "More has come: show the end");
  byId("about").after(standing, more);
  let latest = null;

  const hasMore = () => latest.seconds !== call.lanes.seconds || (latest.life === "running") !== goesOn;
  const isRead = () => cursor.step !== trace.count || cursor.playing || byId("search").value !== "" ||
    document.activeElement.matches("input, select, textarea") || document.querySelector("#changes li");

  function showEnd() {
    history.replaceState(null, "", "#end");
    location.reload();
  }

  function show() {
    if (!latest) return;
    const { life, state, waitsFor, since } = latest;
    const waits = waitsFor
      ? `, waits for ${waitsFor}, ${inSeconds(Math.max(0, Date.now() / 1000 - since))} so far` : "";
    standing.replaceChildren(...{
      running: [el("strong", {}, "Running: "), el("span", { class: `chip s-${state}` }, words(state)), waits],
      killed: [el("strong", {}, "Killed: "), `no process writes this trace any more, and it ends in ${words(state)}.`],
    }[life] ?? []);
  }

  function follow() {
    show();
    if (!latest || !hasMore()) return;
    if (isRead()) more.hidden = false;
    else if (performance.now() - made > pause) showEnd();
  }

  stream(changes, () => {}, ([, , , seconds, state, , , life, waitsFor, since]) => {
    latest = { seconds, state, life, waitsFor, since };
    follow();
  });
  setInterval(follow, 1000);
  if (goesOn ? !/^#step=/.test(location.hash) : location.hash === "#end") cursor.toStep(trace.count);
})();

// The call's sound, where the page has it: what was recorded here, or Phonic's recording. Silent pages
// have the same functions, which do nothing.

const sound = (() => {
  const sources = [["Recorded here", byId("sound")], ["Phonic's recording", byId("recording")]]
    .filter(([, player]) => player);
  let chosen = 0;
  let audio = sources.length ? sources[0][1] : null;
  const mute = byId("mute");
  mute.hidden = !audio;
  const source = byId("source");
  source.hidden = !byId("recording");
  source.disabled = sources.length < 2;
  if (audio) source.textContent = sources[0][0];

  // The other source goes on where this one was.
  source.addEventListener("click", () => {
    const before = audio;
    chosen = (chosen + 1) % sources.length;
    audio = sources[chosen][1];
    source.textContent = sources[chosen][0];
    audio.currentTime = before.currentTime;
    audio.playbackRate = before.playbackRate;
    audio.muted = before.muted;
    if (before.paused) return;
    before.pause();
    audio.play().catch(() => {});
  });

  return {
    // Where it plays; null while it does not, or the browser does not let it.
    get time() { return audio && !audio.paused && !audio.error ? audio.currentTime : null; },
    set speed(value) { if (audio) audio.playbackRate = value; },
    seek(time) { if (audio) audio.currentTime = time; },
    // Where the browser refuses, it stays paused, and the cursor goes on by the clock.
    play() { audio?.play().catch(() => {}); },
    pause() { audio?.pause(); },
    toggle() {
      if (!audio) return;
      audio.muted = !audio.muted;
      mute.setAttribute("aria-pressed", String(audio.muted));
    },
  };
})();

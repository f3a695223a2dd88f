// The call's sound, where the page has it. Silent pages have the same functions, which do nothing.

const sound = (() => {
  const audio = byId("sound");
  const mute = byId("mute");
  mute.hidden = !audio;

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

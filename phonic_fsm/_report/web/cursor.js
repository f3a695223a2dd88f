// Where one looks: a moment and its step. Everything on the page follows it.

const cursor = (() => {
  const followers = [];
  let step = 1;
  let time = trace.count ? trace.times[0] : 0;
  let playing = null;
  let speed = 1;
  let told = true;

  // However often the cursor moves within a frame, the page follows it once.
  function tell() {
    if (!told) return;
    told = false;
    requestAnimationFrame(() => {
      told = true;
      for (const follow of followers) follow({ step, time });
    });
  }

  function goTo(moment) {
    time = Math.min(Math.max(0, moment), call.lanes.seconds);
    step = trace.at(time);
    tell();
  }

  // The sound leads while it plays: a cursor that led would have to push it all the time.
  function frame(now) {
    if (playing === null) return;
    const ahead = sound.time ?? time + ((now - playing) / 1000) * speed;
    playing = now;
    const end = call.lanes.seconds;
    goTo(ahead);
    if (ahead >= end) cursor.pause();
    else requestAnimationFrame(frame);
  }

  return {
    get step() { return step; },
    get time() { return time; },
    get playing() { return playing !== null; },
    get speed() { return speed; },
    set speed(value) {
      speed = sound.speed = value;
      tell();
    },
    onMove(follow) { followers.push(follow); },
    toStep(number) {
      if (!trace.count) return;
      step = Math.min(Math.max(1, number), trace.count);
      time = trace.times[step - 1];
      sound.seek(time);
      tell();
    },
    toTime(moment) {
      if (!trace.count) return;
      goTo(moment);
      sound.seek(time);
    },
    play() {
      if (playing !== null || !trace.count) return;
      if (time >= call.lanes.seconds) cursor.toTime(0);
      playing = performance.now();
      sound.play();
      tell();
      requestAnimationFrame(frame);
    },
    pause() {
      playing = null;
      sound.pause();
      sound.seek(time);
      tell();
    },
  };
})();

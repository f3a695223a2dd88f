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

  function frame(now) {
    if (playing === null) return;
    const ahead = time + ((now - playing) / 1000) * speed;
    playing = now;
    const end = call.lanes.seconds;
    cursor.toTime(Math.min(ahead, end));
    if (ahead >= end) cursor.pause();
    else requestAnimationFrame(frame);
  }

  return {
    get step() { return step; },
    get time() { return time; },
    get playing() { return playing !== null; },
    get speed() { return speed; },
    set speed(value) { speed = value; tell(); },
    onMove(follow) { followers.push(follow); },
    toStep(number) {
      if (!trace.count) return;
      step = Math.min(Math.max(1, number), trace.count);
      time = trace.times[step - 1];
      tell();
    },
    toTime(moment) {
      if (!trace.count) return;
      time = Math.min(Math.max(0, moment), call.lanes.seconds);
      step = trace.at(time);
      tell();
    },
    play() {
      if (playing !== null || !trace.count) return;
      if (time >= call.lanes.seconds) time = 0;
      playing = performance.now();
      tell();
      requestAnimationFrame(frame);
    },
    pause() {
      playing = null;
      tell();
    },
  };
})();

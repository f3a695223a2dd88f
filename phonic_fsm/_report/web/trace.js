// The call as data: steps out of their columns, and where one is at a moment.

const call = JSON.parse(byId("data").textContent);

const trace = (() => {
  const columns = call.steps;
  const count = columns.times.length;
  const times = new Float64Array(count);
  let microseconds = 0;
  columns.times.forEach((passed, index) => {
    microseconds += passed;
    times[index] = microseconds / 1e6;
  });

  const path = (number) => columns.path_values[columns.paths[number - 1]];

  return {
    count,
    times,
    // The step that the call is at: the last one that is not later.
    at: (time) => Math.max(1, lastAtMost(times, time) + 1),
    source: (number) => path(number)[0],
    target: (number) => path(number)[1],
    moved: (number) => path(number)[0] !== path(number)[1],
    event: (number) => columns.event_values[columns.events[number - 1]],
    kind: (number) => columns.kinds[columns.event_values[columns.events[number - 1]].type] ?? "error",
    effects: (number) =>
      columns.effect_lists[columns.effects[number - 1]].map((index) => columns.effect_values[index]),
    // The rows that were tried, in order; the last was taken.
    tried: (number) =>
      path(number)[2].map(([row, answers]) => ({ ...columns.rows[row], answers })),
    // The session's memory after a step: name, value, whether that is as at the
    // beginning, and whether this step changed it.
    memory: (number) =>
      Object.entries(columns.context).map(([name, [steps, values]]) => {
        const index = lastAtMost(steps, number);
        const value = values[index];
        const initial = JSON.stringify(value) === JSON.stringify(columns.initial[name]);
        return { name, value, initial, changed: number > 1 && steps[index] === number };
      }),
    explained: (number) => !call.difference || number <= call.difference.step,
    // Of each step: whether the words are in its event or its effects.
    search(wanted) {
      // As it would stand in JSON, so that quotes and line breaks are found too.
      const needle = JSON.stringify(wanted.toLowerCase()).slice(1, -1);
      const hit = (values) => values.map((value) => JSON.stringify(value).toLowerCase().includes(needle));
      const inEvent = hit(columns.event_values);
      const inEffect = hit(columns.effect_values);
      const inList = columns.effect_lists.map((list) => list.some((index) => inEffect[index]));
      const inPath = columns.path_values.map(([source, target]) => `${source} → ${target}`.includes(needle));
      return (number) =>
        inEvent[columns.events[number - 1]] ||
        inList[columns.effects[number - 1]] ||
        inPath[columns.paths[number - 1]];
    },
  };
})();

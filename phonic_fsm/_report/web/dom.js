// Elements and words. Text from the call is only ever set as text.

const byId = (id) => document.getElementById(id);

// An element with attributes and children; a null child is left out.
function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

function clock(seconds) {
  const whole = Math.max(0, seconds);
  const minutes = Math.floor(whole / 60);
  const rest = (whole - minutes * 60).toFixed(3).padStart(6, "0");
  return `${minutes}:${rest}`;
}

const inSeconds = (seconds) =>
  seconds < 0.95 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;

const words = (name) => name.replaceAll("_", " ");

// The last index whose value is at most the limit, in an ascending list; -1 if there is none.
function lastAtMost(list, limit) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// A value on one line: strings in quotes, audio as its length and level.
function short(value, longest = 120) {
  let text;
  if (value && typeof value === "object" && "bytes" in value) {
    text = `${value.bytes} B${"dbfs" in value ? ` ${value.dbfs} dBFS` : ""}`;
  } else {
    text = JSON.stringify(value) ?? "";
  }
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

const isEmpty = (value) =>
  value === null || value === undefined || value === "" ||
  (typeof value === "object" && Object.keys(value).length === 0);
const isNothing = (value) => isEmpty(value) || value === false || value === 0;

// The fields of an event or effect that hold something; a message's stand for the message.
function fieldsOf(value) {
  const { type, message, ...fields } = value;
  const inner = message && typeof message === "object" ? message : null;
  const all = inner ? { ...fields, ...inner } : value.message === undefined ? fields : { ...fields, message };
  delete all.type;
  return Object.entries(all).filter(([, field]) => !isEmpty(field));
}

const titleOf = (value) =>
  value.message && typeof value.message === "object" ? `${value.type} ${value.message.type}` : value.type;

const brief = (value, longest = 120) =>
  fieldsOf(value)
    .filter(([, field]) => !isNothing(field))
    .map(([name, field]) => `${name}=${short(field, longest)}`)
    .join(" ")
    .slice(0, longest);

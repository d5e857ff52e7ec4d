// Builds elements and icons. Text goes in as text, never as markup; knows nothing of the stage.

const SVG = "http://www.w3.org/2000/svg";

// Paths on a 24 x 24 grid, drawn as lines.
const ICONS = {
  select: "M6 3.5 18.5 10l-5.4 1.9L11 17.5z",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  box: "M7 6h10M7 18h10M5 8v8M19 8v8M3.5 4.5h3v3h-3zM17.5 4.5h3v3h-3zM3.5 16.5h3v3h-3zM17.5 16.5h3v3h-3z",
  undo: "M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3",
  redo: "m15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3",
  play: "M7 4.5v15l12-7.5z",
  pause: "M8 5v14M16 5v14",
  first: "M6 5v14M19 5.5v13L9 12z",
  last: "M18 5v14M5 5.5v13L15 12z",
  back: "m15 5-7 7 7 7",
  forward: "m9 5 7 7-7 7",
  loop: "m17 2 4 4-4 4M3 11V9a3 3 0 0 1 3-3h15M7 22l-4-4 4-4M21 13v2a3 3 0 0 1-3 3H3",
  sound: "M4 9v6h4l5 4V5L8 9zM16.5 8.5a5 5 0 0 1 0 7M19 6a8.5 8.5 0 0 1 0 12",
  silent: "M4 9v6h4l5 4V5L8 9zM17 9.5l5 5M22 9.5l-5 5",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  window: "M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z",
  hidden: "m4 4 16 16M10 5.8A9 9 0 0 1 12 5.5c6 0 9.5 6.5 9.5 6.5a17 17 0 0 1-3 3.7M6 7.4A16 16 0 0 0 2.5 12S6 18.5 12 18.5a9 9 0 0 0 4-.9",
  solo: "M12 4v3M12 17v3M4 12h3M17 12h3M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  look: "M12 3.5a8.5 8.5 0 1 0 0 17zM12 3.5a8.5 8.5 0 0 1 0 17",
  keys: "M3 6.5h18v11H3zM6.5 10h.01M10 10h.01M13.5 10h.01M17 10h.01M8 14h8",
  close: "M6 6l12 12M18 6 6 18",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 12h4M16 12h4",
  down: "m6 9 6 6 6-6",
};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

function drawn(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function icon(name) {
  const element = drawn("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: `icon icon-${name}` });
  element.append(drawn("path", { d: ICONS[name] }));
  return element;
}

/** A button of an icon: its label is its name for screen readers and, with the key, its tool tip. */
function iconButton(name, label, key, click, attributes = {}) {
  return make(
    "button",
    {
      type: "button",
      class: "tool",
      title: key ? `${label} (${key})` : label,
      "aria-label": label,
      click,
      ...attributes,
    },
    icon(name),
  );
}

function relabel(button, name, label, key) {
  button.title = key ? `${label} (${key})` : label;
  button.setAttribute("aria-label", label);
  button.replaceChildren(icon(name));
}

/** A patch of an object's colour inside its outline pattern, so that colour is not all that tells it. */
function swatch(colour, pattern) {
  const element = drawn("svg", { viewBox: "0 0 20 20", "aria-hidden": "true", class: "swatch" });
  const dashes = { dashed: "5 3", dotted: "1.6 2.2" }[pattern] ?? "none";
  const line = { fill: "none", stroke: colour, "stroke-width": pattern === "double" ? 1.6 : 2.6 };
  element.append(
    drawn("rect", { x: 2, y: 2, width: 16, height: 16, rx: 3, fill: colour, "fill-opacity": 0.35 }),
    drawn("rect", { x: 2, y: 2, width: 16, height: 16, rx: 3, "stroke-dasharray": dashes, ...line }),
  );
  if (pattern === "double")
    element.append(drawn("rect", { x: 5.5, y: 5.5, width: 9, height: 9, rx: 1.5, ...line }));
  return element;
}

/** Black or white, whichever is read more easily on a colour "#rrggbb". */
function inkOn(colour) {
  const [red, green, blue] = channelsOf(colour);
  return 0.299 * red + 0.587 * green + 0.114 * blue > MEASURES.LABEL_LUMA ? "#000000" : "#ffffff";
}

function channelsOf(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function clockTime(seconds) {
  const hundredths = Math.max(0, Math.round(seconds * 100));
  const minutes = Math.floor(hundredths / 6000);
  return `${minutes}:${((hundredths % 6000) / 100).toFixed(2).padStart(5, "0")}`;
}

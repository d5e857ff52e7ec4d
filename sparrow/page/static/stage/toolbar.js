// Above the picture: what a click in it means, whom it is meant for, undo and redo, the look, the keys.

const TOOLS = [
  ["select", "select", "Select", "V", "Click a thing to select it, anything else to play"],
  ["point+", "plus", "Point at a thing", "P", "Click what belongs to the thing"],
  ["point-", "minus", "Point at what is not it", "M", "Click what does not belong to the thing"],
  ["box", "box", "Draw a box", "B", "Drag a box around the thing"],
];

function makeToolbar(stage) {
  const tools = TOOLS.map(([tool, picture, label, key, what]) => {
    const button = iconButton(picture, label, key, () => stage.setTool(tool), { "data-tool": tool });
    button.title = `${label} (${key}): ${what.toLowerCase()}`;
    return button;
  });
  const undo = iconButton("undo", "Undo", "Z", () => stage.edit("undo"));
  const redo = iconButton("redo", "Redo", "Shift Z", () => stage.edit("redo"));
  const target = make("div", { class: "target" });
  const look = make(
    "button",
    { type: "button", class: "tool wide", "aria-expanded": "false", "aria-haspopup": "dialog" },
  );
  look.addEventListener("click", () => openPopover(stage.root, look, makeLookPanel(stage)));
  const keys = iconButton("keys", "Keyboard", "?", () => stage.showKeys());
  keys.classList.add("roomy");
  const full = iconButton("full", "Fullscreen", "F", () => stage.toggleFullscreen());
  full.hidden = !document.fullscreenEnabled;
  const element = make(
    "div",
    { class: "toolbar", role: "group", "aria-label": "Tools" },
    make("div", { class: "group tools", role: "group", "aria-label": "A click means" }, ...tools),
    make("div", { class: "group" }, undo, redo),
    target,
    make("div", { class: "group end" }, look, keys, full),
  );

  const updateTarget = () => {
    const { selected } = stage.state;
    target.hidden = stage.tool === "select";
    const known = stage.find(selected);
    const other = iconButton("close", "Point at a new thing instead", "N", () => stage.select(null));
    target.replaceChildren(
      make("span", { class: "quiet" }, known ? "corrects" : "points at"),
      known ? swatch(known.colour, known.pattern) : "",
      make("b", {}, known ? known.name : "a new thing"),
      ...(known ? [other] : []),
    );
  };

  const update = () => {
    const { can, look: seen } = stage.state;
    for (const button of tools) {
      const active = button.dataset.tool === stage.tool;
      button.setAttribute("aria-pressed", active);
      button.disabled = can.busy && button.dataset.tool !== "select";
    }
    undo.disabled = !can.undo || can.busy;
    redo.disabled = !can.redo || can.busy;
    look.replaceChildren(icon("look"), make("span", {}, lookName(seen.mode)), icon("down"));
    look.title = `Look: ${lookName(seen.mode)}; how things are marked, here and in downloads`;
    look.setAttribute("aria-label", `Look: ${lookName(seen.mode)}`);
    const big = document.fullscreenElement === stage.root;
    relabel(full, big ? "window" : "full", big ? "Leave fullscreen" : "Fullscreen", "F");
    updateTarget();
  };

  return { element, update };
}

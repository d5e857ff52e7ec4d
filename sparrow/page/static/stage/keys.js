// The keyboard, while the focus is in the stage or nowhere; and the list of its keys.

const KEYS = [
  ["Space", "play or pause"],
  ["← →", "one frame back or on"],
  ["Shift ← →", "ten frames"],
  ["Home End", "first or last frame"],
  [", .", "slower or faster"],
  ["L", "repeat"],
  ["U", "sound"],
  ["F", "fullscreen"],
  ["V", "tool: select"],
  ["P M", "tool: point at the thing, at what is not it"],
  ["B", "tool: box"],
  ["Alt click", "the other kind of point"],
  ["Alt ← ↑ → ↓", "move a cross over the picture; Enter points there"],
  ["1 … 9", "select an object"],
  ["N", "point at a new thing"],
  ["Enter", "track what was pointed at"],
  ["Z", "undo"],
  ["Shift Z", "redo"],
  ["H S", "hide, show only the selected object"],
  ["F2 R Del", "rename, track again, delete it"],
  ["T", "names on or off"],
  ["I O", "trim: start here, end here"],
  ["Esc", "stop what is being computed"],
  ["?", "this list"],
];

/** What each key does, by `event.key`. */
function keyActions(stage) {
  const withSelected = (run) => () => {
    const object = stage.find(stage.state.selected);
    if (object) run(object);
    else stage.hint("Select an object first");
  };
  const { player } = stage;
  const editing = (run) => () => !stage.state.can.busy && run();
  let doomed = null; // the object that Delete was pressed for once, a moment ago
  const remove = ({ id, name }) => {
    if (doomed === id) return stage.act("delete", id);
    doomed = id;
    setTimeout(() => (doomed = null), 3000);
    stage.hint(`Press Del again to delete “${name}”`);
  };
  return {
    " ": () => player.toggle(),
    k: () => player.toggle(),
    Home: () => stage.seek(stage.state.span[0]),
    End: () => stage.seek(stage.state.span[1] - 1),
    ",": () => stage.changeSpeed(-1),
    ".": () => stage.changeSpeed(1),
    l: () => stage.setLoop(!player.loop),
    u: () => stage.toggleSound(),
    f: () => stage.toggleFullscreen(),
    v: () => stage.setTool("select"),
    p: () => stage.setTool("point+"),
    "+": () => stage.setTool("point+"),
    m: () => stage.setTool("point-"),
    "-": () => stage.setTool("point-"),
    b: () => stage.setTool("box"),
    n: () => stage.select(null),
    z: () => stage.edit("undo"),
    Z: () => stage.edit("redo"),
    y: () => stage.edit("redo"),
    h: withSelected(({ id, shown }) => stage.act(shown ? "hide" : "show", id)),
    s: withSelected(({ id }) => stage.act("solo", id)),
    r: editing(withSelected(({ id }) => stage.act("retrack", id))),
    Delete: editing(withSelected(remove)),
    F2: editing(withSelected(({ id }) => stage.rename(id))),
    t: () => stage.setLook({ label: !stage.state.look.label }),
    i: () => stage.trimHere("start"),
    o: () => stage.trimHere("end"),
    "?": () => stage.showKeys(),
  };
}

function attachKeys(stage, signal) {
  const actions = keyActions(stage);
  const { player } = stage;

  const arrows = (event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.altKey) stage.moveCross(x, y, event.shiftKey);
    else if (x) player.step(x * (event.shiftKey ? 10 : 1));
    else return false;
    return true;
  };

  const handle = (event) => {
    if (event.key.startsWith("Arrow")) return arrows(event);
    if (event.altKey) return false;
    if (event.key === "Enter") return stage.enter();
    if (/^[1-9]$/.test(event.key)) {
      const object = stage.find(Number(event.key));
      if (object) stage.select(object.id);
      return object !== undefined;
    }
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    action?.();
    return action !== undefined;
  };

  document.addEventListener(
    "keydown",
    (event) => {
      if (event.defaultPrevented || event.isComposing) return;
      if (event.key === "Escape") {
        if (!escape(stage)) document.querySelector("#stop")?.click();
        return;
      }
      if (event.ctrlKey || event.metaKey || !stage.state.video || !listens(stage, event)) return;
      if (handle(event)) event.preventDefault();
    },
    { signal },
  );
}

/** Leave the nearest thing that can be left; false if there is none. */
function escape(stage) {
  if (openPanel.close) return closePopover(), true;
  return stage.root.querySelector("dialog[open]") !== null || stage.cancelPointing();
}

/** Whether keys are meant for the stage: not for a field, nor for what a focused control does with them. */
function listens(stage, event) {
  const focus = document.activeElement ?? document.body;
  if (focus !== document.body && !stage.root.contains(focus)) return false;
  if (focus.closest("input, textarea, select, [contenteditable], dialog, .popover")) return false;
  return !(focus.closest("button") && (event.key === " " || event.key === "Enter"));
}

function showKeyList(root) {
  const rows = KEYS.map(([key, what]) => {
    const caps = key.split(" ").map((cap) => make("kbd", {}, cap));
    return make("div", {}, make("dt", {}, ...caps), make("dd", {}, what));
  });
  const close = iconButton("close", "Close", "Esc", () => dialog.close());
  const dialog = make(
    "dialog",
    { class: "keys", "aria-label": "Keyboard" },
    make("header", {}, make("h3", {}, "Keyboard"), close),
    make("dl", {}, ...rows),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  root.append(dialog);
  dialog.showModal();
}

// The objects: a row each, beside its lane in the timeline.

/** `attachSeek` makes a lane seek. */
function makeObjects(stage, attachSeek) {
  const rows = new Map(); // id -> row
  const list = make("ul", { class: "objects", "aria-label": "Objects" });
  const toggle = make("button", {
    type: "button",
    class: "drawer",
    "aria-expanded": "false",
    click: () => toggle.setAttribute("aria-expanded", element.classList.toggle("open")),
  });
  const none = make(
    "p",
    { class: "quiet none" },
    "Nothing found yet. Ask about the video, or point at something in it.",
  );
  const element = make("div", { class: "things" }, toggle, none, list);

  const rowOf = (id) => {
    if (!rows.has(id)) {
      const row = makeObjectRow(stage, id);
      attachSeek(row.lane);
      rows.set(id, row);
    }
    return rows.get(id);
  };

  const update = () => {
    const { objects } = stage.state;
    const ids = new Set(objects.map(({ id }) => id));
    for (const id of rows.keys()) if (!ids.has(id)) rows.delete(id);
    const wanted = objects.map(({ id }) => rowOf(id).element);
    const same = wanted.length === list.children.length && wanted.every((e, i) => e === list.children[i]);
    if (!same) list.replaceChildren(...wanted);
    none.hidden = objects.length > 0;
    toggle.hidden = objects.length === 0;
    toggle.replaceChildren(icon("down"), `Objects · ${objects.length}`);
    for (const object of objects) rowOf(object.id).update(object);
  };

  const updateFrame = () => {
    for (const row of rows.values()) row.updateFrame();
  };

  const draw = () => {
    const { objects, video, prompts } = stage.state;
    for (const object of objects) {
      const own = prompts.filter((prompt) => prompt.object === object.id);
      const { canvas } = rowOf(object.id);
      drawLane(canvas, stage.masks, object, video.frames, own);
    }
  };

  new ResizeObserver(() => stage.state.video && draw()).observe(list); // a drawer was opened
  const rename = (id) => rows.get(id)?.rename();

  return { element, update, updateFrame, draw, rename };
}

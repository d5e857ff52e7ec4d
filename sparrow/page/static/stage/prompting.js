// The tools, what is pointed at with them, and what becomes of it. Shown at once, and told to the server by
// `send(event, data)`, whose next value is the truth.

const NOT_NOW = "Something is being computed: wait for it, or press Stop";

function addPrompting(stage, send) {
  const { state, player } = stage;

  stage.mayPoint = () => state.video !== null && !state.can.busy;

  stage.setTool = (tool) => {
    if (tool !== "select" && !stage.mayPoint()) return stage.hint(NOT_NOW);
    stage.tool = tool;
    stage.hover(null);
    if (tool !== "select") stage.hold(stage.drawn.frame);
    stage.changed();
    stage.hint(toolHint(tool, stage.find(state.selected)), true);
  };

  stage.point = (kind, at, frame) => {
    if (!stage.mayPoint()) return stage.hint(NOT_NOW);
    stage.hold(frame);
    const rounded = at.map((share) => Math.round(share * 1e5) / 1e5);
    state.prompts = [...state.prompts, { object: state.selected, frame, kind, at: rounded, applied: false }];
    send("pointed", { frame, kind, at: rounded, object: state.selected });
    stage.hint("");
    stage.changed();
  };

  stage.thingAt = ([shareX, shareY]) => {
    const x = Math.min(Math.floor(shareX * state.video.width), state.video.width - 1);
    const y = Math.min(Math.floor(shareY * state.video.height), state.video.height - 1);
    return stage.drawn.things.findLast(({ mask }) => covers(mask, x, y)) ?? null;
  };

  /** A click with the select tool: on a thing it selects, elsewhere it plays. */
  stage.pick = (at) => {
    const thing = stage.thingAt(at);
    if (!thing) player.toggle();
    else if (thing.id !== state.selected) stage.select(thing.id);
    if (thing) stage.flash(thing.id);
  };

  stage.edit = (action, direction = "both") => {
    const may = { undo: state.can.undo, redo: state.can.redo }[action] ?? state.can.apply;
    if (may && !state.can.busy) send("edit", { action, direction });
  };

  stage.apply = () => {
    stage.edit("apply", stage.applyBar.direction());
    stage.setTool("select");
  };

  stage.learn = () => {
    stage.act("learn", state.preview?.object ?? state.selected);
    stage.setTool("select");
  };
}

function toolHint(tool, object) {
  if (tool === "select") return "";
  const name = object ? `“${object.name}”` : "the thing";
  if (tool === "box") return `Drag a box around ${name}`;
  if (tool === "point-") return `Click what does not belong to ${name}`;
  return object ? `Click a part of ${name} that its mask lacks` : "Click the thing you mean";
}

// The objects by their ids, and what is done to one of them. Shown at once where that is certain, and told to
// the server by `send(event, data)`, whose next value is the truth.

function addChoosing(stage, send) {
  const { state, player } = stage;

  stage.find = (id) => state.objects.find((object) => object.id === id);
  stage.nameOf = (id) => stage.find(id)?.name ?? "New thing";
  stage.colourOf = (id) =>
    stage.find(id)?.colour ?? (state.preview?.object === id ? state.preview.colour : "#ffffff");
  stage.isSolo = (id) =>
    state.objects.length > 1 && state.objects.every((object) => object.shown === (object.id === id));

  stage.select = (id) => {
    state.selected = id;
    send("object", { action: "select", id, value: null });
    stage.say(id === null ? "Nothing selected: pointing is at a new thing" : `${stage.nameOf(id)} selected`);
    stage.changed();
  };

  stage.act = (action, id, value = null) => {
    const object = stage.find(id);
    const solo = stage.isSolo(id);
    if (action === "show" || action === "hide") object.shown = action === "show";
    if (action === "solo") for (const one of state.objects) one.shown = solo || one.id === id;
    if (action === "rename") object.name = value;
    if (action === "recolour") object.colour = value;
    send("object", { action, id, value });
    const done = { show: "shown", hide: "hidden", solo: solo ? "no longer alone" : "shown alone" }[action];
    if (done) stage.say(`${stage.nameOf(id)} ${done}`);
    stage.changed();
  };

  /** Select an object and go to where it is seen. */
  stage.goTo = (id) => {
    const frame = stage.masks.nearest(id, player.wanted);
    if (frame !== null && frame !== player.wanted) stage.seek(frame);
    if (state.selected !== id) stage.select(id);
    stage.awaited = id; // flashes when the frame is there
    stage.changed();
  };

  stage.setLook = (patch, tell = true) => {
    state.look = { ...state.look, ...patch };
    if (tell) send("look", state.look);
    stage.changed();
  };
}

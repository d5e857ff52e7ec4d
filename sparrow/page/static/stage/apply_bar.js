// Between picture and player, while there are prompts that the tracks do not follow yet: track, learn, discard.

const DIRECTIONS = {
  both: "in the whole video",
  forward: "from the marked frame on",
  backward: "up to the marked frame",
  span: "within the trim",
};

function makeApplyBar(stage) {
  const words = make("span", { class: "words" });
  const direction = make(
    "select",
    { "aria-label": "Where to track", title: "Where to track" },
    ...Object.entries(DIRECTIONS).map(([value, name]) => make("option", { value }, name)),
  );
  const apply = make("button", {
    type: "button",
    class: "button primary",
    title: "Follow the thing through the video (Enter)",
    click: () => stage.apply(),
  });
  const learn = make("button", {
    type: "button",
    class: "button",
    title: "Train the tracker on this very thing first: slower, and holds on to it better",
    click: () => stage.learn(),
  });
  const discard = make(
    "button",
    { type: "button", class: "button plain", click: () => stage.edit("discard") },
    "Discard",
  );
  const element = make(
    "div",
    { class: "apply", role: "group", "aria-label": "Prompts not tracked yet", hidden: true },
    words,
    make("span", { class: "joined" }, apply, direction),
    learn,
    discard,
  );

  const update = () => {
    const { can, preview, selected, prompts, learn_seconds: seconds } = stage.state;
    element.hidden = !can.apply || can.busy;
    if (element.hidden) return;
    const id = preview?.object ?? selected;
    const known = stage.find(id);
    const seen = known ?? preview;
    const count = prompts.filter(({ object, applied }) => object === id && !applied).length;
    words.replaceChildren(
      seen ? swatch(seen.colour, seen.pattern) : "",
      make("b", {}, known ? known.name : "New thing"),
      make("span", { class: "quiet" }, count === 1 ? " · 1 mark" : count ? ` · ${count} marks` : ""),
    );
    apply.textContent = known ? "Track again" : "Track it";
    learn.textContent = `Learn it first · ${Math.max(1, Math.round(seconds))} s`;
    learn.hidden = !can.learn;
  };

  return { element, update, direction: () => direction.value };
}

// The panel of looks: how things are marked, in the stage and in what is downloaded.

const LOOKS = {
  mask: ["Mask", "colour and outline"],
  outline: ["Outline", "the edge only"],
  box: ["Box", "a frame around it"],
  spotlight: ["Spotlight", "the rest darkened"],
  "blur-rest": ["Blur the rest", "things stay sharp"],
  "blur-object": ["Blur the things", "for privacy"],
  "cut-out": ["Cut-out", "without background"],
};

function lookName(mode) {
  return LOOKS[mode][0];
}

function makeLookPanel(stage) {
  const { look } = stage.state;
  const modes = Object.entries(LOOKS).map(([mode, [name, what]]) => {
    const choose = () => {
      stage.setLook({ mode });
      fill.hidden = mode !== "mask";
    };
    const radio = make("input", {
      type: "radio",
      name: "stage-look",
      value: mode,
      change: choose,
      autofocus: mode === look.mode,
    });
    radio.checked = mode === look.mode;
    const words = make("span", {}, name, make("small", {}, what));
    return make("label", { class: "choice" }, radio, lookPicture(mode), words);
  });
  const shown = make("output", {}, `${Math.round(100 * look.opacity)} %`);
  const slider = make("input", {
    type: "range",
    min: 0,
    max: 100,
    step: 5,
    value: Math.round(100 * look.opacity),
    "aria-label": "Opacity of the colour",
    input: () => {
      shown.textContent = `${slider.value} %`;
      stage.setLook({ opacity: slider.value / 100 }, false);
    },
    change: () => stage.setLook({ opacity: slider.value / 100 }),
  });
  const fill = make("label", { class: "setting" }, "Opacity", slider, shown);
  fill.hidden = look.mode !== "mask";
  const names = make("input", {
    type: "checkbox",
    change: () => stage.setLook({ label: names.checked }),
  });
  names.checked = look.label;
  return make(
    "div",
    { class: "looks", role: "dialog", "aria-label": "Look" },
    make("div", { class: "modes", role: "radiogroup", "aria-label": "Mode" }, ...modes),
    fill,
    make("label", { class: "setting" }, names, "Write the names", make("kbd", {}, "T")),
    make("p", { class: "quiet" }, "Downloads look the same."),
  );
}

/** A small sketch of a mode: a thing before a ground. */
function lookPicture(mode) {
  const sketch = drawn("svg", { viewBox: "0 0 36 24", "aria-hidden": "true", class: `sketch ${mode}` });
  sketch.append(
    drawn("rect", { class: "ground", width: 36, height: 24, rx: 3 }),
    drawn("path", { class: "hill", d: "M0 24V17l9-6 8 5 8-7 11 8v7z" }),
    drawn("circle", { class: "thing", cx: 18, cy: 12, r: 6 }),
    drawn("rect", { class: "frame", x: 11, y: 5, width: 14, height: 14 }),
  );
  return sketch;
}

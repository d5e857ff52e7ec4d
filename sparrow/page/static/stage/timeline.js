// What shares one time axis: ruler, objects' lanes, trim range, and where we are.

function makeTimeline(stage) {
  const { player } = stage;
  const ruler = makeRuler(stage);
  const objects = makeObjects(stage, ruler.seekBy);
  const trimmed = make("button", {
    type: "button",
    class: "link",
    title: "Use the whole video again",
    click: () => stage.setSpan(0, stage.state.video.frames),
  });
  const looked = make("span", { class: "quiet" });
  const shades = [make("div", { class: "shade" }), make("div", { class: "shade" })];
  const axis = make("div", { class: "axis" }, ...shades, make("div", { class: "playhead" }));
  const head = make("div", { class: "head" }, looked, trimmed);
  const first = make("div", { class: "row" }, head, ruler.element);
  const element = make("div", { class: "timeline" }, first, objects.element, axis);

  const draw = () => {
    const { video, looked_at: frames } = stage.state;
    if (!video) return;
    ruler.draw(video, frames);
    objects.draw();
  };

  const updateFrame = () => {
    const { video } = stage.state;
    element.style.setProperty("--at", (player.wanted + 0.5) / video.frames);
    ruler.updateFrame(video);
    objects.updateFrame();
  };

  const update = () => {
    const { video, span, looked_at: frames } = stage.state;
    const whole = span[0] === 0 && span[1] === video.frames;
    const times = span.map((frame) => clockTime(frame / video.fps));
    trimmed.hidden = whole;
    trimmed.replaceChildren(`${times[0]} – ${times[1]}`, icon("close"));
    element.classList.toggle("trimmed", !whole);
    looked.hidden = !whole;
    looked.textContent = frames.length ? `▾ looked at ${frames.length} frames` : "Timeline";
    looked.title = frames.length ? "The frames that the model looked at for its last answer" : "";
    element.style.setProperty("--start", span[0] / video.frames);
    element.style.setProperty("--stop", span[1] / video.frames);
    ruler.update(video);
    objects.update();
    draw();
    updateFrame();
  };

  new ResizeObserver(draw).observe(ruler.element);
  return { element, update, updateFrame, rename: objects.rename };
}

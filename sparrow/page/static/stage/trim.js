// A handle at either end of the trim range: dragged, or moved by the arrow keys.

/** `end` is 0 for the start, 1 for the end. */
function makeTrimHandle(stage, end) {
  const label = end ? "End of the trim" : "Start of the trim";
  const element = make("div", {
    class: `handle ${end ? "end" : "start"}`,
    role: "slider",
    tabindex: 0,
    "aria-label": label,
    title: `${label}: drag, or press ${end ? "O" : "I"} to set it here`,
  });
  const own = () => (end ? stage.state.span[1] - 1 : stage.state.span[0]);

  const move = (frame, tell) => {
    const [start, stop] = stage.state.span;
    if (end) stage.setSpan(start, Math.max(frame, start) + 1, tell);
    else stage.setSpan(Math.min(frame, stop - 1), stop, tell);
    stage.hold(own());
  };

  const dragBy = (frameAt) => {
    const listen = (name, act) =>
      element.addEventListener(name, (event) => {
        event.stopPropagation(); // the ruler below would seek
        if (element.hasPointerCapture(event.pointerId)) act(event);
      });
    element.addEventListener("pointerdown", (event) => {
      if (event.button === 0) element.setPointerCapture(event.pointerId);
      event.stopPropagation();
    });
    listen("pointermove", (event) => move(frameAt(event), false));
    listen("pointerup", () => move(own(), true));
  };

  element.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault(); // and with that it is no step of the player
    move(Math.max(0, own() + by * (event.shiftKey ? 10 : 1)), true);
  });

  const update = ({ frames, fps }) => {
    element.setAttribute("aria-valuemin", 0);
    element.setAttribute("aria-valuemax", frames - 1);
    element.setAttribute("aria-valuenow", own());
    element.setAttribute("aria-valuetext", clockTime(own() / fps));
  };

  return { element, dragBy, update };
}

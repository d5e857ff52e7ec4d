// Mouse, pen and finger on the picture -> points, boxes and selections, in shares of the picture: the same
// at any window size, zoom and in fullscreen.

const SMALLEST_BOX = 5; // CSS pixels along either side; less is a slip of the hand

function attachPointer(stage, screen, canvas, marks) {
  let start = null;

  const placeOf = (event) => {
    const at = canvas.getBoundingClientRect();
    const share = (value) => Math.min(Math.max(value, 0), 1);
    return [share((event.clientX - at.left) / at.width), share((event.clientY - at.top) / at.height)];
  };

  const boxTo = ([x, y]) => [
    Math.min(start.at[0], x),
    Math.min(start.at[1], y),
    Math.max(start.at[0], x),
    Math.max(start.at[1], y),
  ];

  const end = () => {
    start = null;
    marks.setRubber(null);
  };

  screen.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary || event.target.closest("button")) return;
    screen.focus({ preventScroll: true });
    start = { at: placeOf(event), x: event.clientX, y: event.clientY, frame: stage.drawn.frame };
    if (stage.tool === "box" && stage.mayPoint()) {
      screen.setPointerCapture(event.pointerId);
      stage.hold(start.frame);
    }
  });

  screen.addEventListener("pointermove", (event) => {
    const at = placeOf(event);
    if (start && stage.tool === "box") marks.setRubber(boxTo(at));
    else if (event.pointerType === "mouse" && stage.tool === "select")
      stage.hover(stage.thingAt(at)?.id ?? null);
  });

  screen.addEventListener("pointerup", (event) => {
    if (!start) return;
    const at = placeOf(event);
    const { x, y, frame } = start;
    const [wide, tall] = [Math.abs(event.clientX - x), Math.abs(event.clientY - y)];
    const box = boxTo(at);
    end();
    if (stage.tool === "box") {
      if (Math.min(wide, tall) >= SMALLEST_BOX) stage.point("box", box, frame);
      else stage.hint("Drag from one corner of the thing to the opposite one");
    } else if (Math.max(wide, tall) > 12 && event.pointerType !== "mouse") return; // a swipe
    else if (stage.tool === "select") stage.pick(at);
    else stage.point(event.altKey ? otherSign(stage.tool) : stage.tool, at, frame);
  });

  // No gesture of the browser comes of it: it would swallow a tap that follows soon.
  const keep = (event) => {
    const drawing = start && stage.tool === "box" && event.touches.length === 1;
    if (drawing && event.cancelable) event.preventDefault();
  };
  screen.addEventListener("touchmove", keep, { passive: false });
  screen.addEventListener("pointercancel", end);
  screen.addEventListener("pointerleave", () => stage.hover(null));
  screen.addEventListener("dragstart", (event) => event.preventDefault());

  return { cancel: () => start !== null && (end(), true) };
}

function otherSign(tool) {
  return { "point+": "point-", "point-": "point+" }[tool];
}

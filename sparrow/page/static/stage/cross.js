// Pointing without a pointer: a cross that keys move over the picture.

function addCross(stage, marks) {
  let at = null;

  const show = (place) => {
    at = place;
    marks.setCross(at);
  };

  /** Move the cross by a fiftieth of the picture, five times as far with `far`. */
  stage.moveCross = (x, y, far) => {
    if (!stage.mayPoint()) return;
    if (stage.tool === "select" || stage.tool === "box") stage.setTool("point+");
    const by = far ? 0.1 : 0.02;
    const from = at ?? [0.5, 0.5];
    show([x, y].map((step, axis) => Math.min(Math.max(from[axis] + step * by, 0), 1)));
    const [right, down] = at.map((share) => Math.round(100 * share));
    const under = stage.thingAt(at);
    stage.say(`${right} % from the left, ${down} % from the top${under ? `, on ${under.name}` : ""}`);
  };

  /** Point where the cross stands, else track what was pointed at; false if there is neither. */
  stage.enter = () => {
    if (at) {
      stage.point(stage.tool, at, stage.drawn.frame);
      show(null);
    } else if (stage.state.can.apply && !stage.state.can.busy) stage.apply();
    else return false;
    return true;
  };

  stage.hideCross = () => {
    const shown = at !== null;
    show(null);
    return shown;
  };
}

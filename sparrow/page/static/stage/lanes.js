// One object's time on a canvas: when it is seen, how surely, and where the user pointed.
// Sure frames are full bars, unsure ones hatched, absent ones a thin line, untracked ones dotted.

/** Make a canvas as large as its place on the screen, in the screen's own pixels; null if it has none. */
function screenCanvas(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return null;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return { context, width, height, ratio };
}

function hatching(context, colour, ratio) {
  const tile = makeCanvas();
  const side = Math.round(6 * ratio);
  sizedCanvas(tile, side, side);
  tile.strokeStyle = colour;
  tile.lineWidth = 1.6 * ratio;
  tile.beginPath();
  for (const at of [-side, 0, side]) {
    tile.moveTo(at, side);
    tile.lineTo(at + side, 0);
  }
  tile.stroke();
  return context.createPattern(tile.canvas, "repeat");
}

/** Draw a lane of `frames` frames; what is not there has the canvas's own colour. */
function drawLane(canvas, masks, { id, colour, complete }, frames, prompts) {
  const surface = screenCanvas(canvas);
  if (!surface) return;
  const { context, width, height, ratio } = surface;
  const middle = Math.round(height / 2);
  const kindOf = (frame) => {
    if (masks.visible(id, frame)) return masks.score(id, frame) < UNSURE ? "unsure" : "sure";
    return !complete && masks.score(id, frame) === 0 ? "untracked" : "absent";
  };
  const line = getComputedStyle(canvas).color;
  const hatched = hatching(context, colour, ratio);
  for (let start = 0; start < frames; ) {
    const kind = kindOf(start);
    let stop = start + 1;
    while (stop < frames && kindOf(stop) === kind) stop++;
    const [x0, x1] = [start, stop].map((frame) => (frame / frames) * width);
    if (kind === "absent" || kind === "untracked") {
      context.strokeStyle = line;
      context.lineWidth = ratio;
      context.setLineDash(kind === "untracked" ? [2 * ratio, 4 * ratio] : []);
      context.beginPath();
      context.moveTo(x0, middle);
      context.lineTo(x1, middle);
      context.stroke();
    } else drawBars(context, masks, id, [start, stop], frames, kind === "sure" ? colour : hatched);
    start = stop;
  }
  context.setLineDash([]);
  for (const { frame, kind } of prompts)
    drawSign(context, kind, ((frame + 0.5) / frames) * width, middle, ratio);
}

/** A bar for each pixel column, as high as the tracker was sure. */
function drawBars(context, masks, id, [start, stop], frames, paint) {
  const { width, height } = context.canvas;
  context.fillStyle = paint;
  const [from, to] = [start, stop].map((frame) => Math.round((frame / frames) * width));
  for (let x = from; x < Math.max(to, from + 1); x++) {
    const frame = Math.min(Math.max(Math.floor((x / width) * frames), start), stop - 1);
    const tall = Math.round(height * (0.35 + 0.65 * masks.score(id, frame)));
    context.fillRect(x, Math.round((height - tall) / 2), 1, tall);
  }
}

/** A prompt: plus, minus or box, white on black, so that it is seen on any colour. */
function drawSign(context, kind, x, y, ratio) {
  const r = 5 * ratio;
  context.fillStyle = "#ffffff";
  context.strokeStyle = "#000000";
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  if (kind === "box") context.rect(x - r, y - r, 2 * r, 2 * r);
  else context.arc(x, y, r, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
  context.beginPath();
  context.moveTo(x - r / 2, y);
  context.lineTo(x + r / 2, y);
  if (kind === "point+") {
    context.moveTo(x, y - r / 2);
    context.lineTo(x, y + r / 2);
  }
  if (kind !== "box") context.stroke();
}

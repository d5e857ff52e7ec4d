// The time axis: ticks, what the model looked at, pressing and dragging to seek.

const TICK_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600]; // seconds

function makeRuler(stage) {
  const { player } = stage;
  const canvas = make("canvas", { "aria-hidden": "true" });
  const readout = make("div", { class: "readout", hidden: true });
  const handles = [makeTrimHandle(stage, 0), makeTrimHandle(stage, 1)];
  const element = make(
    "div",
    { class: "ruler", role: "slider", tabindex: 0, "aria-label": "Position", "aria-valuemin": 0 },
    canvas,
    ...handles.map((handle) => handle.element),
    readout,
  );

  const frameAt = (event) => {
    const at = element.getBoundingClientRect();
    const share = (event.clientX - at.left) / at.width;
    return Math.min(Math.max(Math.floor(share * player.frames), 0), player.frames - 1);
  };
  for (const handle of handles) handle.dragBy(frameAt);

  /** Seek by pressing and by dragging on, here or on a lane. */
  const seekBy = (target) => {
    target.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      if (target === element) target.setPointerCapture(event.pointerId);
      stage.seek(frameAt(event));
    });
    target.addEventListener("pointermove", (event) => {
      const frame = frameAt(event);
      if (target.hasPointerCapture(event.pointerId)) stage.hold(frame);
      readout.hidden = event.pointerType === "touch";
      readout.textContent = `${clockTime(frame / player.fps)} · ${frame}`;
      readout.style.left = `${(100 * (frame + 0.5)) / player.frames}%`;
    });
    target.addEventListener("pointerleave", () => (readout.hidden = true));
  };
  seekBy(element);

  const updateFrame = ({ frames, fps }) => {
    element.setAttribute("aria-valuenow", player.wanted);
    const time = clockTime(player.wanted / fps);
    element.setAttribute("aria-valuetext", `frame ${player.wanted} of ${frames}, ${time}`);
  };

  const update = (video) => {
    element.setAttribute("aria-valuemax", video.frames - 1);
    for (const handle of handles) handle.update(video);
  };

  const draw = (video, looked) => {
    const surface = screenCanvas(canvas);
    if (surface) drawRuler(surface, video, looked, getComputedStyle(element));
  };

  return { element, seekBy, update, updateFrame, draw };
}

function drawRuler({ context, width, height, ratio }, video, looked, style) {
  const seconds = video.frames / video.fps;
  const step = TICK_STEPS.find((value) => (value / seconds) * width >= 56 * ratio) ?? 1800;
  context.font = `${10 * ratio}px ${style.fontFamily}`;
  context.textBaseline = "top";
  context.fillStyle = style.color;
  for (let tick = 0; tick * step < seconds; tick++) {
    const x = Math.round(((tick * step) / seconds) * width);
    context.fillRect(x, height - 6 * ratio, ratio, 6 * ratio);
    const words = clockTime(tick * step).slice(0, step < 1 ? -1 : -3);
    if (tick && x + 36 * ratio < width) context.fillText(words, x + 3 * ratio, height - 13 * ratio);
  }
  context.fillStyle = style.getPropertyValue("--accent");
  for (const frame of looked) {
    const x = ((frame + 0.5) / video.frames) * width;
    context.beginPath();
    context.moveTo(x - 3.5 * ratio, ratio);
    context.lineTo(x + 3.5 * ratio, ratio);
    context.lineTo(x, 7 * ratio);
    context.fill();
  }
}

// The frame that is shown: its picture and masks on the canvas, and a glimpse of one thing that flashes.

function makeScene(stage) {
  const canvas = make("canvas", { class: "picture", "aria-hidden": "true" });
  const glimpse = make("canvas", { class: "glimpse", "aria-hidden": "true" });
  const drawing = new Drawing(canvas.getContext("2d"));
  const glance = new Drawing(glimpse.getContext("2d"));
  let asked = 0;

  /** The things to be seen in a frame: {id, mask, colour, pattern, name}, the later above. */
  const thingsAt = (frame) => {
    const { objects, preview, video } = stage.state;
    const here = preview?.frame === frame ? preview : null;
    const provisional = () =>
      here.rle === null ? null : stage.masks.decode("preview", here.rle, [video.height, video.width]);
    const things = [];
    for (const object of objects) {
      if (!object.shown) continue;
      const corrected = here?.object === object.id;
      const mask = corrected ? provisional() : stage.masks.at(object.id, frame);
      if (mask) things.push({ ...object, mask });
    }
    if (here && !stage.find(here.object)) {
      const mask = provisional();
      if (mask) things.push({ ...here, id: here.object, name: here.name || "new", mask });
    }
    return things;
  };

  const fit = ({ width, height }) => {
    for (const surface of [canvas, glimpse]) {
      if (surface.width === width && surface.height === height) continue;
      surface.width = width;
      surface.height = height;
    }
  };

  /** Forget the picture: another video comes. */
  const clear = () => {
    stage.drawn = { frame: -1, things: [] };
    for (const surface of [canvas, glimpse]) surface.width = 0;
  };

  /** Draw what the video shows now. */
  const draw = () => {
    asked = 0;
    const { video, look, objects, preview } = stage.state;
    const picture = video && stage.player.picture();
    if (!picture) return;
    fit(video);
    const things = thingsAt(picture.frame);
    const marked = things.length > 0 || objects.some(({ shown }) => shown) || preview !== null;
    drawing.draw(picture.source, things, marked ? look : { mode: "none" });
    picture.close();
    stage.drawn = { frame: picture.frame, things };
    stage.drew();
  };

  /** Draw before the next picture of the screen, once. */
  const redraw = () => {
    asked ||= requestAnimationFrame(draw);
  };

  /** Light up one thing for a moment. */
  const flash = (id) => {
    const thing = stage.drawn.things.find((drawn) => drawn.id === id);
    const { width, height } = glimpse;
    glance.context.clearRect(0, 0, width, height);
    if (!thing) return;
    glance.tint(thing.mask, [255, 255, 255, 255]);
    glimpse.classList.remove("fading");
    void glimpse.offsetWidth; // so that the fading begins anew
    glimpse.classList.add("fading");
  };

  return { canvas, glimpse, draw, redraw, clear, flash };
}

// A picture and the masks on it -> the canvas, by the formulas of sparrow/looks.py: what is seen is what is
// exported. Everything is drawn in pixels of the video; the page scales the canvas.

class Drawing {
  #scratch = makeCanvas(); // one mask
  #cover = makeCanvas(); // all masks, or what lies over the rest of the picture
  #small = makeCanvas(); // the picture made small
  #soft = makeCanvas(); // and blurred

  /** Draw on the 2D context of a canvas of the video's size. */
  constructor(context) {
    this.context = context;
  }

  get size() {
    return [this.context.canvas.width, this.context.canvas.height];
  }

  /**
   * Draw a picture and things on it: [{mask, colour, pattern, name}], the later above. `mode` is "none"
   * where no object is shown at all: the picture stays as it is.
   */
  draw(source, things, { mode, opacity, label }) {
    const [width, height] = this.size;
    this.context.drawImage(source, 0, 0, width, height);
    if (mode === "spotlight") this.#rest(things, "#000000", MEASURES.DARKENING);
    else if (mode === "cut-out") this.#rest(things, MEASURES.GROUND, 1);
    else if (mode === "blur-rest") this.#blurRest(things);
    else if (mode === "blur-object") for (const thing of things) this.#blurThing(thing.mask);
    else if (mode !== "none") for (const thing of things) this.#mark(thing, mode, opacity);
    if (label && mode !== "none") writeLabels(this.context, things);
  }

  /** Tint one mask, over what is drawn: for a glimpse, not part of any look. */
  tint(mask, rgba) {
    this.#stamp(this.context, mask, rgba);
  }

  #mark({ mask, colour, pattern }, mode, opacity) {
    const shape = mode === "box" ? boxed(mask) : mask;
    const layers = layersOf(shape, pattern, lineOf(Math.min(...this.size)), mode);
    const rgb = channelsOf(colour);
    const fill = mode === "mask" ? opacity : 0;
    const through = (1 - fill) * (1 - MEASURES.CASING); // of the picture, in the dimmed band
    const light = (fill * (1 - MEASURES.CASING)) / (1 - through); // of the colour, there
    const inks = [
      [0, 0, 0, 0],
      [...rgb, 255 * fill],
      [...rgb.map((value) => value * light), 255 * (1 - through)],
      [...rgb, 255],
    ];
    this.#put(this.context, shape, layers, inks);
  }

  /** Lay a colour over everything outside all masks. */
  #rest(things, colour, alpha) {
    const cover = this.#coverOf((context, width, height) => {
      context.globalAlpha = alpha;
      context.fillStyle = colour;
      context.fillRect(0, 0, width, height);
    });
    this.#cutOut(cover, things);
    this.context.drawImage(cover.canvas, 0, 0);
  }

  #blurRest(things) {
    const [width, height] = this.size;
    const sigma = MEASURES.BLUR * Math.min(width, height);
    const all = { x0: 0, y0: 0, x1: width, y1: height };
    const cover = this.#coverOf((context) => this.#drawBlurred(context, sigma, all));
    this.#cutOut(cover, things);
    this.context.drawImage(cover.canvas, 0, 0);
  }

  #blurThing(mask) {
    const [width, height] = this.size;
    const short = Math.min(width, height);
    const by = Math.max(2, Math.ceil(MEASURES.GROWTH * short));
    const longer = Math.max(mask.width, mask.height);
    const sigma = Math.max(MEASURES.BLUR * short, longer / MEASURES.DETAIL);
    const whole = grown(mask, by, width, height);
    const cover = sizedCanvas(this.#cover, whole.width, whole.height);
    cover.save();
    cover.translate(-whole.x0, -whole.y0);
    this.#stamp(cover, whole, [0, 0, 0, 255]);
    cover.globalCompositeOperation = "source-in";
    this.#drawBlurred(cover, sigma, whole);
    cover.restore();
    this.context.drawImage(cover.canvas, whole.x0, whole.y0);
  }

  /** Draw a box of what is on the canvas, blurred, at its place in another one. */
  #drawBlurred(context, sigma, box) {
    const filters = context.filter !== undefined; // else small pictures alone must do: larger patches
    const less = filters ? Math.max(1, sigma / 4) : 2 * sigma;
    const around = Math.ceil(3 * sigma); // as far as the blur looks
    const [x0, y0] = [Math.max(0, box.x0 - around), Math.max(0, box.y0 - around)];
    const width = Math.min(this.size[0], box.x1 + around) - x0;
    const height = Math.min(this.size[1], box.y1 + around) - y0;
    const [wide, tall] = [Math.ceil(width / less), Math.ceil(height / less)];
    const edge = Math.ceil(around / less);
    const small = sizedCanvas(this.#small, wide + 2 * edge, tall + 2 * edge);
    small.imageSmoothingQuality = "high";
    small.drawImage(this.context.canvas, x0, y0, width, height, edge, edge, wide, tall);
    extendEdges(small, edge, wide, tall);
    const soft = sizedCanvas(this.#soft, wide + 2 * edge, tall + 2 * edge);
    if (filters) soft.filter = `blur(${sigma / less}px)`;
    soft.drawImage(small.canvas, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(soft.canvas, edge, edge, wide, tall, x0, y0, width, height);
  }

  #coverOf(paint) {
    const context = sizedCanvas(this.#cover, ...this.size);
    context.save();
    paint(context, ...this.size);
    context.restore();
    return context;
  }

  #cutOut(context, things) {
    context.save();
    context.globalCompositeOperation = "destination-out";
    for (const { mask } of things) this.#stamp(context, mask, [0, 0, 0, 255]);
    context.restore();
  }

  #stamp(context, mask, rgba) {
    this.#put(context, mask, mask.bits, [[0, 0, 0, 0], rgba]);
  }

  /** Colour the pixels of a box by their layer, and draw them. */
  #put(context, { x0, y0, width, height }, layers, inks) {
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const packed = inks.map((ink) => new Uint32Array(new Uint8ClampedArray(ink).buffer)[0]);
    for (let i = 0; i < layers.length; i++) if (layers[i]) pixels[i] = packed[layers[i]];
    const scratch = sizedCanvas(this.#scratch, width, height);
    scratch.putImageData(image, 0, 0);
    context.drawImage(scratch.canvas, 0, 0, width, height, x0, y0, width, height);
  }
}

function makeCanvas() {
  return document.createElement("canvas").getContext("2d");
}

/** Give a canvas this size, empty. */
function sizedCanvas(context, width, height) {
  const { canvas } = context;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  } else context.clearRect(0, 0, width, height);
  return context;
}

/** Let the outermost pixels of a picture go on for `edge` pixels around it. */
function extendEdges(context, edge, wide, tall) {
  const { canvas } = context;
  const [right, low, all] = [edge + wide, edge + tall, wide + 2 * edge];
  context.drawImage(canvas, edge, edge, 1, tall, 0, edge, edge, tall);
  context.drawImage(canvas, right - 1, edge, 1, tall, right, edge, edge, tall);
  context.drawImage(canvas, 0, edge, all, 1, 0, 0, all, edge);
  context.drawImage(canvas, 0, low - 1, all, 1, 0, low, all, edge);
}

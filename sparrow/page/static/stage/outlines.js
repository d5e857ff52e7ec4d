// A mask -> the outline of sparrow/looks.py in pixels. Knows no canvas and no object.

/** Chebyshev distance of each pixel of a mask to the nearest one outside it, at most 255. */
function depthsOf({ bits, width, height }) {
  const depths = new Uint8Array(bits.length);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      if (!bits[at]) continue;
      if (y === 0 || x === 0 || x === width - 1) {
        depths[at] = 1;
        continue;
      }
      const up = at - width;
      depths[at] =
        Math.min(254, depths[at - 1], depths[up - 1], depths[up], depths[up + 1]) + 1;
    }
  }
  for (let y = height - 1, at = bits.length - 1; y >= 0; y--) {
    for (let x = width - 1; x >= 0; x--, at--) {
      if (depths[at] <= 1) continue;
      if (y === height - 1 || x === width - 1 || x === 0) {
        depths[at] = 1;
        continue;
      }
      const down = at + width;
      const least = Math.min(depths[at + 1], depths[down - 1], depths[down], depths[down + 1]);
      if (least < depths[at] - 1) depths[at] = least + 1;
    }
  }
  return depths;
}

/** The full rectangle of a mask's box, as a mask. */
function boxed({ x0, y0, x1, y1, width, height }) {
  return { x0, y0, x1, y1, width, height, bits: new Uint8Array(width * height).fill(1) };
}

/** The width of a line, in pixels of the video. */
function lineOf(shortSide) {
  return Math.max(1, Math.floor((shortSide + 120) / 240));
}

/** What each pixel of a mask gets: 0 nothing (outside), 1 the fill, 2 the dimmed band, 3 the line. */
function layersOf(mask, pattern, line, mode) {
  const depths = depthsOf(mask);
  const layers = new Uint8Array(depths.length);
  const cell = { dashed: MEASURES.DASH, dotted: MEASURES.DOT }[pattern] * line;
  const band = pattern === "double" ? 3 * line : mode === "mask" ? line : 2 * line;
  for (let y = 0, at = 0; y < mask.height; y++) {
    for (let x = 0; x < mask.width; x++, at++) {
      const depth = depths[at];
      if (depth === 0) continue;
      if (depth > band) layers[at] = 1;
      else if (pattern === "double") layers[at] = depth <= line || depth > 2 * line ? 3 : 2;
      else if (depth > line) layers[at] = 2;
      else if (pattern === "solid") layers[at] = 3;
      else layers[at] = (Math.floor(x / cell) + Math.floor(y / cell)) % 2 === 0 ? 3 : 2;
    }
  }
  return layers;
}

/** A mask grown by `by` pixels to all sides, inside a picture. */
function grown(mask, by, pictureWidth, pictureHeight) {
  const x0 = Math.max(0, mask.x0 - by);
  const y0 = Math.max(0, mask.y0 - by);
  const x1 = Math.min(pictureWidth, mask.x1 + by);
  const y1 = Math.min(pictureHeight, mask.y1 + by);
  const [width, height] = [x1 - x0, y1 - y0];
  const wide = new Uint8Array(width * mask.height);
  for (let y = 0; y < mask.height; y++) {
    for (let x = 0, filled = 0; x < mask.width; x++) {
      if (!mask.bits[y * mask.width + x]) continue;
      const from = Math.max(filled, mask.x0 + x - by - x0);
      filled = Math.min(width, mask.x0 + x + by + 1 - x0);
      wide.fill(1, y * width + from, y * width + filled);
    }
  }
  const bits = new Uint8Array(width * height);
  for (let x = 0; x < width; x++) {
    for (let y = -by, until = -by - 1; y < height; y++) {
      const ahead = y + y0 + by - mask.y0; // the row of the mask that now comes into reach
      if (ahead >= 0 && ahead < mask.height && wide[ahead * width + x]) until = y + 2 * by;
      if (y >= 0 && y <= until) bits[y * width + x] = 1;
    }
  }
  return { x0, y0, x1, y1, width, height, bits };
}

// Compressed COCO RLE -> the pixels of a mask inside its box. Damaged counts give no mask.

/** Run lengths, column by column, background first; null if these are no such counts. */
function runsOf(counts) {
  const runs = [];
  for (let i = 0; i < counts.length; ) {
    let value = 0;
    let place = 0;
    let group;
    do {
      group = counts.charCodeAt(i++) - 48;
      if (!(group >= 0 && group < 64) || place > 30) return null;
      value |= (group & 31) << place;
      place += 5;
    } while (group & 32);
    if (group & 16 && place < 32) value |= -1 << place;
    if (runs.length > 2) value += runs[runs.length - 2];
    if (value < 0) return null;
    runs.push(value);
  }
  return runs;
}

/** The tight box, right and lower edge exclusive; null for an empty mask. */
function boxOfRuns(runs, height) {
  let [x0, y0, x1, y1] = [Infinity, height, -1, 0];
  for (let i = 0, at = 0; i < runs.length; at += runs[i++]) {
    if (i % 2 === 0 || runs[i] === 0) continue;
    const end = at + runs[i] - 1;
    const columns = [Math.floor(at / height), Math.floor(end / height)];
    x0 = Math.min(x0, columns[0]);
    x1 = Math.max(x1, columns[1] + 1);
    const one = columns[0] === columns[1];
    y0 = one ? Math.min(y0, at % height) : 0;
    y1 = one ? Math.max(y1, (end % height) + 1) : height;
  }
  return x1 < 0 ? null : { x0, y0, x1, y1 };
}

/** A mask {x0, y0, x1, y1, width, height, bits}: bits are 0 or 1, row by row inside the box; or null. */
function decodeMask(counts, height, width) {
  const runs = runsOf(counts);
  if (!runs || runs.reduce((sum, run) => sum + run, 0) !== height * width) return null;
  const box = boxOfRuns(runs, height);
  if (!box) return null;
  const wide = box.x1 - box.x0;
  const bits = new Uint8Array(wide * (box.y1 - box.y0));
  for (let i = 0, at = 0; i < runs.length; at += runs[i++]) {
    if (i % 2 === 0) continue;
    for (let pixel = at, end = at + runs[i]; pixel < end; ) {
      const column = Math.floor(pixel / height);
      const stop = Math.min(end, (column + 1) * height);
      let place = (pixel % height - box.y0) * wide + column - box.x0;
      for (; pixel < stop; pixel++, place += wide) bits[place] = 1;
    }
  }
  return { ...box, width: wide, height: box.y1 - box.y0, bits };
}

function covers(mask, x, y) {
  if (x < mask.x0 || x >= mask.x1 || y < mask.y0 || y >= mask.y1) return false;
  return mask.bits[(y - mask.y0) * mask.width + x - mask.x0] === 1;
}

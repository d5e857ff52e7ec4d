// Names beside the things, written as sparrow/labels.py does: above the box, none over an earlier one.

function writeLabels(context, things) {
  const { width, height } = context.canvas;
  const size = Math.max(12, Math.round(Math.min(width, height) / MEASURES.LABEL));
  const pad = Math.max(2, Math.floor(size / 4));
  context.save();
  context.font = `${size}px sans-serif`;
  context.textBaseline = "alphabetic";
  const placed = [];
  for (const { mask, colour, name } of things) {
    const text = printable(name);
    if (!text) continue;
    const wide = Math.ceil(context.measureText(text).width) + 2 * pad;
    const tall = size + Math.ceil(size / 4) + 2 * pad;
    const label = placeLabel(mask, wide, tall, placed, width, height);
    placed.push(label);
    context.fillStyle = colour;
    context.fillRect(label.x0, label.y0, wide, tall);
    context.fillStyle = inkOn(colour);
    context.fillText(text, label.x0 + pad, label.y0 + pad + size);
  }
  context.restore();
}

function placeLabel(mask, wide, tall, placed, width, height) {
  const x0 = Math.max(0, Math.min(mask.x0, width - wide));
  const lowest = Math.max(0, height - tall);
  let y0 = mask.y0 >= tall ? mask.y0 - tall : Math.min(mask.y0, lowest);
  for (const other of [...placed].sort((a, b) => a.y0 - b.y0)) {
    const meet = other.x0 < x0 + wide && x0 < other.x1 && other.y0 < y0 + tall && y0 < other.y1;
    if (meet) y0 = Math.min(other.y1, lowest);
  }
  return { x0, y0, x1: x0 + wide, y1: y0 + tall };
}

/** One line of what can be seen, shortened. */
function printable(name) {
  const text = name.replace(/\p{C}/gu, " ").split(/\s+/).filter(Boolean).join(" ");
  const letters = [...text];
  if (letters.length <= MEASURES.LABEL_CHARACTERS) return text;
  return letters.slice(0, MEASURES.LABEL_CHARACTERS - 1).join("") + "…";
}

// The downloads: a button for each format; when a file is ready, the browser fetches it under its name.
// Runs with Gradio's element, props, trigger and watch; downloads.py describes the value.

let shown = props.value; // the newest that came
const panel = element.querySelector("details");
const what = element.querySelector(".what");
const place = element.querySelector(".offers");
const caution = element.querySelector(".caution");

const make = (tag, name, text = "") => {
  const node = document.createElement(tag);
  node.className = name;
  node.textContent = text;
  return node;
};

function offer({ id, label, hint, enabled }) {
  const button = make("button", "offer");
  button.type = "button";
  button.id = `get-${id}`;
  button.disabled = !enabled;
  button.append(make("b", "", label), make("small", "", hint));
  button.addEventListener("click", () => trigger("make", { format: id }));
  return button;
}

function groups(offers) {
  const nodes = [];
  for (const name of new Set(offers.map((one) => one.group))) {
    const group = make("fieldset", "group");
    group.append(make("legend", "", name));
    for (const one of offers) if (one.group === name) group.append(offer(one));
    nodes.push(group);
  }
  return nodes;
}

/** Say in which frames a thing may show although the look blurs it, with links to them. */
function exposure({ name, frames, places, more }) {
  const said = make("p", "");
  said.append(make("b", "", name), ` may show in ${frames} ${frames === 1 ? "frame" : "frames"}: `);
  places.forEach(({ frame, words }, at) => {
    const link = make("a", "moment", words);
    link.href = `#f=${frame}`;
    said.append(at ? ", " : "", link);
  });
  said.append(more ? ` and ${more} more.` : ".");
  return said;
}

function drawCaution({ blurs, may_show: exposures }) {
  const wanted = JSON.stringify([blurs, exposures]);
  if (wanted === cautioned) return;
  cautioned = wanted;
  caution.hidden = !blurs;
  const why = exposures.length
    ? "There the track has a gap, or the tracker is not sure. Go there, and correct it before you share the video."
    : "A blur hides a thing where its track has it. Watch the whole video before you share it.";
  caution.replaceChildren(...exposures.map(exposure), make("p", "", why));
}

let cautioned = "";
let drawn = "";
let fetched = shown.file?.nonce ?? null;
let opened = false;

function fetchFile(file) {
  const link = make("a", "");
  link.href = file.url;
  link.download = file.name;
  document.body.append(link);
  link.click();
  link.remove();
}

function draw() {
  const { offers, ready, found, file } = shown;
  const wanted = JSON.stringify(offers);
  if (wanted !== drawn) place.replaceChildren(...groups(offers));
  drawn = wanted;
  panel.hidden = !ready;
  drawCaution(shown);
  what.textContent = found ? "" : "Ask or point first: then there is something to take along.";
  if (found && !opened && matchMedia("(min-width: 900px)").matches) {
    panel.open = true;
    opened = true;
  }
  if (file && file.nonce !== fetched) {
    fetched = file.nonce;
    fetchFile(file);
  }
}

watch("value", () => {
  if (props.value.serial < shown.serial) return; // overtaken on its way
  shown = props.value;
  draw();
});
draw();

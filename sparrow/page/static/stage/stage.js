// The stage put together: keeps what the server sent, redraws what changed, tells what the user did.
// Runs last, with Gradio's element, props, trigger and watch.

function buildStage(root, send, signal) {
  const stage = { root, tool: "select", hovered: null, awaited: null };
  stage.drawn = { frame: -1, things: [] };
  stage.state = emptyState();
  const video = make("video", { playsinline: true, preload: "auto", tabindex: -1, "aria-hidden": "true" });
  const scene = makeScene(stage);
  stage.masks = new Masks(() => stage.changed());
  stage.player = new Player(video, scene.draw, () => stage.moved());
  addPlaying(stage, send);
  addChoosing(stage, send);
  addPrompting(stage, send);
  const marks = makeMarks(stage);
  addCross(stage, marks);
  const places = arrange(root, [video, scene.canvas, scene.glimpse, marks.element]);
  const pointer = attachPointer(stage, places.screen, scene.canvas, marks);
  stage.clear = scene.clear;
  stage.flash = scene.flash;
  stage.showKeys = () => showKeyList(root);
  stage.cancelPointing = () => stage.hideCross() || pointer.cancel();
  addVoice(stage, places);
  addUpdates(stage, places, scene, marks);
  attachSticking(stage, places.viewport, signal);
  document.addEventListener("fullscreenchange", () => stage.changed(), { signal });
  return stage;
}

function emptyState() {
  return {
    video: null,
    notice: "",
    objects: [],
    looked_at: [],
    prompts: [],
    span: [0, 0],
    preview: null,
    selected: null,
    seek: null,
    look: { mode: "mask", opacity: 0.45, label: true },
    can: {},
    learn_seconds: 0,
  };
}

/** Place what does not depend on the video; give the places. */
function arrange(root, layers) {
  const hint = make("div", { class: "hint", "aria-hidden": "true" });
  const cover = make("div", { class: "cover", role: "status" });
  const screen = make("div", { class: "screen", tabindex: 0, role: "group" }, ...layers, cover, hint);
  const viewport = make("div", { class: "viewport" }, screen);
  const deck = make("div", { class: "deck" }, viewport);
  const empty = make("div", { class: "empty" });
  const said = make("div", { class: "said", "aria-live": "polite" });
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "Video");
  root.replaceChildren(empty, deck, said);
  return { hint, cover, screen, viewport, deck, empty, said };
}

/** Words over the picture, and words for screen readers alone. */
function addVoice(stage, { hint, said }) {
  let fading = 0;
  stage.say = (words) => (said.textContent = words);
  stage.hint = (words, stays = false) => {
    clearTimeout(fading);
    hint.textContent = words;
    if (words) stage.say(words);
    if (!stays) fading = setTimeout(() => (hint.textContent = ""), 4000);
  };
}

/** The bars around the picture, and what keeps them and it up to date. */
function addUpdates(stage, { screen, viewport, deck, empty, cover }, scene, marks) {
  const { state, player } = stage;
  const [toolbar, transport, timeline] = [makeToolbar(stage), makeTransport(stage), makeTimeline(stage)];
  stage.applyBar = makeApplyBar(stage);
  stage.rename = (id) => timeline.rename(id);
  deck.prepend(toolbar.element);
  deck.append(stage.applyBar.element, transport.element, timeline.element);

  stage.hover = (id) => {
    if (stage.hovered === id) return;
    stage.hovered = id;
    screen.classList.toggle("over", id !== null);
    marks.update();
  };

  /** The canvas shows another frame: what stands beside it follows. */
  stage.drew = () => {
    const { drawn, awaited } = stage;
    screen.setAttribute("aria-label", `Picture, frame ${drawn.frame}`);
    marks.update();
    transport.updateFrame();
    timeline.updateFrame();
    if (awaited === null || drawn.frame !== player.wanted) return;
    stage.awaited = null;
    scene.flash(awaited);
  };

  /** Something but the frame changed. */
  stage.changed = () => {
    empty.hidden = state.video !== null;
    deck.hidden = state.video === null;
    if (state.video === null) return showEmpty(empty, state.notice);
    screen.dataset.tool = stage.tool;
    screen.style.setProperty("--shape", state.video.width / state.video.height);
    viewport.classList.toggle("busy", state.can.busy);
    for (const part of [toolbar, transport, timeline, stage.applyBar]) part.update();
    openPanel.update?.();
    scene.redraw();
  };

  /** The player began or stopped, or is on its way to another frame. */
  stage.moved = () => {
    if (!state.video) return;
    transport.update();
    timeline.updateFrame();
    cover.hidden = !player.waiting && !player.failed;
    const words = player.failed ? "The video could not be loaded. Reload the page." : "Loading …";
    if (cover.textContent !== words) cover.textContent = words;
    cover.classList.toggle("failed", player.failed);
  };
}

/** Take over what the server sent; keys that are as they were leave alone what the user did since. */
function takeValue(stage, before, value) {
  const { state, player } = stage;
  for (const key of Object.keys(state)) {
    if (JSON.stringify(before[key]) !== JSON.stringify(value[key])) state[key] = structuredClone(value[key]);
  }
  state.prompts = structuredClone(value.prompts); // without those drawn in advance
  if (before.video?.url !== value.video?.url) {
    stage.tool = "select";
    stage.clear();
    stage.hint("");
  }
  if (state.can.busy) stage.tool = "select";
  player.load(state.video);
  player.span = state.span;
  stage.masks.sync(state.objects);
  if (state.seek && state.seek.nonce !== before.seek?.nonce) player.seek(state.seek.frame);
  stage.changed();
}

function showEmpty(empty, notice) {
  const words = make("p", {}, notice || "Choose a video, and it plays here.");
  const then = make("p", { class: "quiet" }, "Then ask about it, or point at something in it.");
  empty.replaceChildren(icon("film"), words, notice ? make("span", { class: "spinner" }) : then);
}

/** What tests read: which frame and things are drawn, and where. */
function hookOf(stage, leave) {
  return {
    frame: () => stage.drawn.frame,
    size: () => [stage.state.video?.width ?? 0, stage.state.video?.height ?? 0],
    drawnIds: () => stage.drawn.things.map(({ id }) => id),
    maskPixel: (x, y) => stage.drawn.things.filter(({ mask }) => covers(mask, x, y)).map(({ id }) => id),
    leave,
  };
}

window.sparrowStage?.leave(); // Gradio has built the component anew
const listening = new AbortController();
const stage = buildStage(element.querySelector(".sparrow-stage"), trigger, listening.signal);
attachKeys(stage, listening.signal);
attachLinks(stage, listening.signal);
window.sparrowStage = hookOf(stage, () => listening.abort());

let taken = {};
const take = () => {
  const value = JSON.parse(JSON.stringify(props.value));
  if (value.serial < taken.serial) return; // overtaken on its way
  takeValue(stage, taken, value);
  taken = value;
};
take();
watch("value", take);

// What lies over the picture and is no part of a look: the prompts of the frame, brackets around what is
// selected or pointed at, the box being drawn. All placed in shares of the picture, so any size fits.

const SIGNS = { "point+": "plus", "point-": "minus" };
const KINDS = { "point+": "belongs to it", "point-": "does not belong to it", box: "around it" };

function makeMarks(stage) {
  const prompts = make("div", { class: "prompts" });
  const brackets = make("div", { class: "brackets", hidden: true }, make("span"));
  const rubber = make("div", { class: "rubber", hidden: true });
  const cross = make("div", { class: "cross", hidden: true });
  const element = make("div", { class: "marks" }, prompts, brackets, rubber, cross);

  const put = (target, [x0, y0, x1, y1]) => {
    target.style.left = `${100 * x0}%`;
    target.style.top = `${100 * y0}%`;
    target.style.width = `${100 * (x1 - x0)}%`;
    target.style.height = `${100 * (y1 - y0)}%`;
  };

  const markOf = ({ object, kind, at }) => {
    const name = stage.nameOf(object);
    const mark = make("div", {
      class: `prompt ${kind === "box" ? "box" : kind === "point+" ? "with" : "without"}`,
      title: `${name}: ${KINDS[kind]}`,
    });
    mark.style.setProperty("--colour", stage.colourOf(object));
    if (kind === "box") put(mark, at);
    else {
      put(mark, [...at, ...at]);
      mark.append(icon(SIGNS[kind]));
    }
    return mark;
  };

  let drawnFor = "";
  const update = () => {
    const frame = stage.drawn.frame;
    const here = stage.state.prompts.filter((prompt) => prompt.frame === frame);
    const known = JSON.stringify([here, here.map(({ object }) => stage.colourOf(object))]);
    if (known !== drawnFor) prompts.replaceChildren(...here.map(markOf));
    drawnFor = known;
    const id = stage.hovered ?? stage.state.selected;
    const thing = stage.drawn.things.find((drawn) => drawn.id === id);
    brackets.hidden = !thing;
    if (thing) {
      const { x0, y0, x1, y1 } = thing.mask;
      const { width, height } = stage.state.video;
      put(brackets, [x0 / width, y0 / height, x1 / width, y1 / height]);
    }
  };

  const setRubber = (at) => {
    rubber.hidden = !at;
    if (at) put(rubber, at);
  };

  const setCross = (at) => {
    cross.hidden = !at;
    if (at) put(cross, [...at, ...at]);
  };

  return { element, update, setRubber, setCross };
}

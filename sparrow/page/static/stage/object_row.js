// One object of the list: its colour, name and confidence, and what can be done with it.

function makeObjectRow(stage, id) {
  const object = () => stage.find(id);
  const opens = (kind) => ({ "aria-haspopup": kind, "aria-expanded": "false" });
  const colour = make("button", { type: "button", class: "tool small", ...opens("dialog") });
  colour.addEventListener("click", () => openPopover(stage.root, colour, makePalette(stage, id)));
  const name = make("button", {
    type: "button",
    class: "name",
    click: () => stage.select(stage.state.selected === id ? null : id),
    dblclick: () => rename(),
    pointerenter: () => stage.hover(id),
    pointerleave: () => stage.hover(null),
  });
  const sure = make("span", { class: "sure" });
  const eye = iconButton("eye", "Hide", "H", () => stage.act(object().shown ? "hide" : "show", id));
  const solo = iconButton("solo", "Show only this one", "S", () => stage.act("solo", id));
  const more = iconButton("more", "More", "", () => openMenu(), opens("menu"));
  for (const button of [eye, solo, more]) button.classList.add("small");
  const openMenu = () => {
    const menu = makeObjectMenu(stage, id, rename);
    openPopover(stage.root, more, menu.element, menu.update);
  };
  const head = make("div", { class: "head" }, colour, name, sure, eye, solo, more);
  const canvas = make("canvas", { "aria-hidden": "true" });
  const lane = make("div", { class: "lane" }, canvas);
  const element = make("li", { class: "row object", "data-id": id }, head, lane);

  const rename = () => {
    if (stage.state.can.busy) return;
    editText(name, object().name, (text) => stage.act("rename", id, text));
  };

  const update = ({ name: called, colour: hue, pattern, shown, confidence, complete }) => {
    const selected = stage.state.selected === id;
    element.classList.toggle("selected", selected);
    element.classList.toggle("off", !shown);
    colour.replaceChildren(swatch(hue, pattern));
    colour.title = "Colour";
    colour.setAttribute("aria-label", `Colour of ${called}`);
    colour.disabled = stage.state.can.busy;
    name.replaceChildren(make("sup", {}, String(id)), called);
    name.title = `${called}: select (${id < 10 ? `${id}, ` : ""}double click renames)`;
    name.setAttribute("aria-pressed", selected);
    relabel(eye, shown ? "eye" : "hidden", `${shown ? "Hide" : "Show"} ${called}`, "H");
    solo.setAttribute("aria-label", `Show only ${called}`);
    solo.setAttribute("aria-pressed", stage.isSolo(id));
    more.setAttribute("aria-label", `More about ${called}`);
    showSure(sure, confidence, complete, stage.masks.failed(id), stage.masks.loading(id));
  };

  const updateFrame = () => {
    element.classList.toggle("absent", !stage.masks.visible(id, stage.drawn.frame));
  };

  return { element, lane, canvas, update, updateFrame, rename };
}

/** Say how sure the tracker is of an object (0 to 1, null: never seen), or what is the matter. */
function showSure(element, confidence, complete, failed, loading) {
  const unsure = confidence != null && confidence < UNSURE;
  const percent = `${unsure ? "~" : ""}${Math.round(100 * confidence)} %`;
  const told = confidence == null ? "not seen" : percent;
  const meaning = `${told}: how sure the tracker is, over the frames where it is seen`;
  element.classList.toggle("unsure", unsure || failed);
  element.classList.toggle("partial", !complete && !failed);
  if (failed) {
    element.textContent = "no masks";
    element.title = "Its masks could not be loaded: reload the page";
  } else {
    element.textContent = loading ? "…" : complete ? told : "partial";
    element.title = complete ? meaning : `Tracked in part only. ${meaning}`;
  }
}

/** Put a field in the place of an element; Enter or leaving it gives another text to `accept`. */
function editText(element, before, accept) {
  const field = make("input", { class: "rename", maxlength: 60, "aria-label": "Name", value: before });
  let open = true;
  const close = (keep) => {
    if (!open) return;
    open = false; // taking the field away blurs it
    field.replaceWith(element);
    const text = field.value.trim();
    if (keep && text && text !== before) accept(text);
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" && event.key !== "Escape") return;
    close(event.key === "Enter");
    element.focus();
  });
  field.addEventListener("blur", () => close(true));
  element.replaceWith(field);
  field.select();
  field.focus();
}

function makeObjectMenu(stage, id, rename) {
  const { can, learn_seconds: seconds } = stage.state;
  const item = { role: "menuitem" };
  const act = (action) => () => stage.act(action, id);
  const learning = `Learn this object · ${Math.max(1, Math.round(seconds))} s`;
  const remove = make("button", { type: "button", class: "item danger", ...item }, "Delete");
  remove.append(make("kbd", {}, "Del"));
  remove.addEventListener("click", () => {
    if (remove.dataset.asked) {
      closePopover();
      stage.act("delete", id);
    }
    remove.dataset.asked = "yes";
    remove.textContent = "Delete it, for good";
  });
  const element = make(
    "div",
    { class: "menu", role: "menu" },
    menuItem("Rename", "F2", rename, item),
    menuItem("Track again", "R", act("retrack"), item),
    can.learn ? menuItem(learning, "", act("learn"), item) : null,
    remove,
  );
  const update = () => {
    for (const button of element.children) button.disabled = stage.state.can.busy;
  };
  update();
  return { element, update };
}

function makePalette(stage, id) {
  const current = stage.find(id);
  const paint = (value) => stage.act("recolour", id, value);
  const choices = PALETTE.map((value) => {
    const choice = menuItem("", "", () => paint(value), {
      class: "colour",
      title: value,
      "aria-label": `Colour ${value}`,
      "aria-pressed": value === current.colour,
    });
    choice.style.background = value;
    return choice;
  });
  const other = make("input", {
    type: "color",
    value: current.colour,
    "aria-label": "Another colour",
    title: "Another colour",
    change: () => paint(other.value),
  });
  const about = { class: "palette", role: "dialog", "aria-label": `Colour of ${current.name}` };
  return make("div", about, ...choices, other);
}

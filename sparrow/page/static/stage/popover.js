// One panel at a time, beside the button that opened it; closes by Escape, a press elsewhere, or its button.

const openPanel = { close: null, anchor: null, update: null };

function closePopover() {
  openPanel.close?.();
}

/** Show `panel` at `anchor` inside `root`; `update` is called whenever the stage has changed. */
function openPopover(root, anchor, panel, update = null) {
  const again = openPanel.anchor === anchor;
  closePopover();
  if (again) return;
  const listening = new AbortController();
  const close = () => {
    listening.abort();
    const inside = panel.contains(document.activeElement);
    panel.remove();
    anchor.setAttribute("aria-expanded", "false");
    if (inside) anchor.focus({ preventScroll: true });
    Object.assign(openPanel, { close: null, anchor: null, update: null });
  };
  Object.assign(openPanel, { close, anchor, update });
  panel.classList.add("popover");
  anchor.setAttribute("aria-expanded", "true");
  root.append(panel);
  placePopover(root, anchor, panel);
  const { signal } = listening;
  const outside = (event) => {
    if (!panel.contains(event.target) && !anchor.contains(event.target)) close();
  };
  document.addEventListener("pointerdown", outside, { signal, capture: true });
  panel.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !panel.contains(event.relatedTarget)) close();
  });
  panel.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by && panel.getAttribute("role") === "menu") moveFocus(panel, by);
  });
  window.addEventListener("resize", close, { signal });
  document.addEventListener("fullscreenchange", close, { signal });
  panel.querySelector("[autofocus], button, input, select")?.focus({ preventScroll: true });
}

function moveFocus(menu, by) {
  const items = [...menu.querySelectorAll("button:enabled")];
  const at = items.indexOf(document.activeElement) + by;
  items[(at + items.length) % items.length]?.focus();
}

function placePopover(root, anchor, panel) {
  const at = anchor.getBoundingClientRect();
  const around = root.getBoundingClientRect();
  const room = Math.min(around.width, document.documentElement.clientWidth) - panel.offsetWidth - 4;
  const left = Math.min(Math.max(4, at.left - around.left), Math.max(4, room));
  const below = at.bottom - around.top + 4;
  const fits = at.bottom + panel.offsetHeight + 8 <= window.innerHeight;
  const above = at.top - around.top - panel.offsetHeight - 4;
  panel.style.left = `${left}px`;
  panel.style.top = `${fits || above < 0 ? below : above}px`;
}

/** A row of a menu; `run` happens after the menu has closed. */
function menuItem(words, key, run, attributes = {}) {
  const click = () => {
    closePopover();
    run();
  };
  const hint = key ? make("kbd", {}, key) : null;
  return make("button", { type: "button", class: "item", click, ...attributes }, words, hint);
}

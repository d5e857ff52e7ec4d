// The conversation: messages as they grow, what may be asked next, and what goes along with the question.
// Runs with Gradio's element, props, trigger and watch; chat.py describes the value.

let shown = props.value; // the newest that came
const log = element.querySelector(".log");
const suggested = element.querySelector(".suggestions");
const chips = element.querySelector(".chips");
const before = element.querySelector(".empty.before");
const begin = element.querySelector(".empty.begin");
const said = element.querySelector(".said");

const make = (tag, name, text = "") => {
  const node = document.createElement(tag);
  node.className = name;
  node.textContent = text;
  return node;
};

const button = (words, name, act) => {
  const node = make("button", name, words);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
};

async function copy(text, words) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that is not served over https has no clipboard: copy by way of a selection.
    const area = document.body.appendChild(make("textarea", ""));
    area.value = text;
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  said.textContent = words;
}

function stepsOf(message) {
  const { steps, state } = message;
  const details = make("details", "steps");
  const summary = details.appendChild(make("summary", ""));
  if (state === "working") summary.append(make("span", "spinner"));
  summary.append(make("span", "step", steps.title));
  if (state === "working") {
    const time = make("span", "elapsed");
    time.dataset.since = performance.now() - steps.seconds * 1000;
    summary.append(time);
  }
  if (steps.share != null) {
    const bar = summary.appendChild(make("progress", ""));
    bar.max = 1;
    bar.value = steps.share;
    bar.setAttribute("aria-label", steps.title);
  }
  const list = details.appendChild(make("ol", ""));
  for (const item of steps.items) list.append(make("li", "", item));
  details.classList.toggle("plain", !steps.items.length);
  return details;
}

function edit(item, message) {
  const form = make("form", "editor");
  const area = form.appendChild(make("textarea", ""));
  area.value = message.text;
  area.maxLength = 400;
  area.rows = 2;
  area.setAttribute("aria-label", "Your question, to be asked anew");
  const bar = form.appendChild(make("div", "tools"));
  const send = button("Ask again", "primary", () => {});
  send.type = "submit";
  bar.append(send, button("Cancel", "", () => fill(item, message)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    trigger("edit", { turn: message.turn, text: area.value });
    fill(item, message);
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      fill(item, message);
    }
  });
  item.replaceChildren(form);
  area.focus();
}

function toolsOf(item, message) {
  const bar = make("div", "tools");
  const { turn, role, state } = message;
  if (state === "working") return bar;
  if (message.text) bar.append(button("Copy", "", () => copy(message.text, "Copied.")));
  const rest = !shown.busy;
  if (role === "user") {
    if (rest) bar.append(button("Edit", "", () => edit(item, message)));
    return bar;
  }
  if (!rest) return bar;
  bar.append(button("Retry", "", () => trigger("retry", { turn })));
  if (turn === lastTurn()) bar.append(button("Undo", "", () => trigger("undo", { turn })));
  return bar;
}

const lastTurn = () => Math.floor((shown.messages.length - 1) / 2);

function fill(item, message) {
  const open = item.querySelector("details")?.open ?? false;
  const body = make("div", "body");
  body.innerHTML = message.html; // inert: written by transcript.py
  if (message.state === "working") (body.querySelector(".words") ?? body).append(make("span", "cursor", "▍"));
  item.replaceChildren(body);
  if (message.steps) {
    const steps = stepsOf(message);
    steps.open = open;
    if (message.state === "working") item.prepend(steps);
    else item.append(steps);
  }
  item.append(toolsOf(item, message));
  item.setAttribute("aria-busy", message.state === "working");
}

let drawn = [];

function drawMessages() {
  const { messages, busy, ready } = shown;
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  const wanted = messages.map((message, at) => {
    const last = at === messages.length - 1;
    return JSON.stringify([message, busy, last]);
  });
  while (log.children.length > messages.length) log.lastChild.remove();
  messages.forEach((message, at) => {
    if (drawn[at] === wanted[at] && at < log.children.length) return;
    const item = log.children[at] ?? log.appendChild(make("li", ""));
    item.className = `message ${message.role} ${message.state}`;
    fill(item, message);
  });
  const grew = wanted.length > drawn.length;
  drawn = wanted;
  before.hidden = ready || messages.length > 0;
  begin.hidden = !ready || messages.length > 0;
  log.hidden = !messages.length;
  if (atEnd || grew) log.scrollTop = log.scrollHeight;
}

function drawSuggestions() {
  const { suggestions, busy, ready } = shown;
  const nodes = suggestions.map((text) => {
    const node = button(text, "suggestion", () => trigger("suggest", { text }));
    node.disabled = busy || !ready;
    return node;
  });
  suggested.replaceChildren(...nodes);
  suggested.hidden = !nodes.length;
}

function drawChips() {
  const nodes = shown.chips.map(({ id, name, colour, ink, where, on }) => {
    const node = make("span", on ? "chip" : "chip offered");
    const mark = make("mark", `ref ref-${id}`, name);
    mark.style.cssText = `background-color:${colour};color:${ink};--id:'${id}'`;
    node.append(on ? "About " : "", on ? mark : "");
    if (where) node.append(make("small", "", where));
    if (on) {
      const off = button("×", "off", () => trigger("detach", { id }));
      off.setAttribute("aria-label", `Ask without ${name}`);
      off.title = "Leave it out";
      node.append(off);
      return node;
    }
    const ask = button("", "ask", () => trigger("attach", { id }));
    ask.append("+ Ask about ", mark);
    node.replaceChildren(ask);
    return node;
  });
  chips.replaceChildren(...nodes);
  chips.hidden = !nodes.length;
}

function draw() {
  drawMessages();
  drawSuggestions();
  drawChips();
}

element.querySelector(".copy-all").addEventListener("click", () => {
  const lines = shown.messages.map((m) => `${m.role === "user" ? "You" : "Sparrow"}: ${m.text}`);
  copy(lines.join("\n\n"), "The conversation is copied.");
});
element.querySelector(".save-all").addEventListener("click", () => trigger("save", {}));

setInterval(() => {
  for (const time of element.querySelectorAll(".elapsed")) {
    time.textContent = `${((performance.now() - time.dataset.since) / 1000).toFixed(1)} s`;
  }
}, 100);

watch("value", () => {
  if (props.value.serial < shown.serial) return; // overtaken on its way
  shown = props.value;
  draw();
});
draw();

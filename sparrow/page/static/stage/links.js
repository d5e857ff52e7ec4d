// Words elsewhere on the page that mean something in the video: coloured phrases and links to moments.

function attachLinks(stage, signal) {
  const idOf = (target) => {
    const mark = target.closest?.("mark.ref");
    const found = mark && /(?:^|\s)ref-(\d+)(?:\s|$)/.exec(mark.className);
    return found ? Number(found[1]) : null;
  };

  const follow = (event) => {
    const link = event.target.closest?.("a[href^='#']");
    const found = link && /^#([tf])=(\d+(?:\.\d+)?)$/.exec(link.getAttribute("href"));
    if (!found || !stage.state.video) return false;
    event.preventDefault();
    const value = Number(found[2]);
    stage.seek(found[1] === "f" ? value : Math.floor(value * stage.state.video.fps + 1e-6));
    return true;
  };

  const show = (event) => {
    const object = stage.find(idOf(event.target));
    if (!object) return;
    if (event.altKey) stage.act("solo", object.id);
    stage.goTo(object.id);
  };

  document.addEventListener("click", (event) => follow(event) || show(event), { signal });
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "Enter" && idOf(event.target) !== null) show(event);
    },
    { signal },
  );
  const glance = (event) => {
    const id = idOf(event.target);
    if (id !== null) stage.flash(id);
  };
  document.addEventListener("mouseover", glance, { signal });
  document.addEventListener("focusin", glance, { signal });
}

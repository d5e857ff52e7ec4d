// Runs once in the browser: a name for the still frame's button, and Escape for Stop.
() => {
  const name = () =>
    document
      .querySelector("#still button")
      ?.setAttribute("aria-label", "Frame to click on: click the thing, or two corners around it");
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector("#stop")?.click();
  });
}

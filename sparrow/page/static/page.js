// Runs once in the browser: light or dark as the visitor chose, a help that closes when it is left, the ways from
// words to the picture and to the downloads where they are not in sight, and what the status line says.
() => {
  const body = document.body;
  const chosen = localStorage.sparrowTheme;
  if (chosen) body.classList.toggle("dark", chosen === "dark");
  document.addEventListener("click", (event) => {
    if (event.target.closest("#help .theme")) {
      localStorage.sparrowTheme = body.classList.toggle("dark") ? "dark" : "light";
    }
    const help = document.querySelector("#help details[open]");
    if (help && !help.contains(event.target)) help.open = false;
    if (event.target.closest("#about .get")) {
      const panel = document.querySelector("#downloads details");
      panel.open = true;
      panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
      panel.querySelector("button")?.focus({ preventScroll: true });
    }
    if (event.target.closest("#chat mark.ref, a.moment")) {
      document.querySelector("#stage .screen")?.scrollIntoView({ block: "nearest", behavior: "smooth" });
    }
  });
  document.addEventListener("keydown", (event) => {
    const help = document.querySelector("#help details[open]");
    if (event.key === "Escape" && help) help.open = false;
  });
  // The time of a step goes on between two reports.
  setInterval(() => {
    for (const time of document.querySelectorAll("#status [data-seconds]")) {
      time.since ??= performance.now() - 1000 * time.dataset.seconds;
      time.textContent = `${((performance.now() - time.since) / 1000).toFixed(1)} s`;
    }
  }, 100);
  // A notice goes by itself; an error stays until it is clicked away or something else is done.
  const SECONDS_SHOWN = 5;
  const status = document.querySelector("#status");
  let fading = 0;
  const show = () => {
    clearTimeout(fading);
    status.classList.remove("stale");
    if (status.querySelector(".status.idle")) {
      fading = setTimeout(() => status.classList.add("stale"), 1000 * SECONDS_SHOWN);
    }
  };
  new MutationObserver(show).observe(status, { childList: true, subtree: true, characterData: true });
  status.addEventListener("click", () => status.classList.add("stale"));
}

// In a narrow window the stage stays in sight while the page goes on below it: it folds up from its end, as far
// as the page has scrolled, and a tall picture shrinks. The page reserves the room it had, so that nothing jumps.

const NARROW = "(max-width: 900px) and (min-height: 600px)"; // as in page.css
const ROW = 42; // pixels of the player's buttons
const TALLEST = 0.62; // of the window's height, as in picture.css
const STAYING = 0.45; // of it: toolbar, picture and player's buttons of a folded stage

function attachSticking(stage, viewport, signal) {
  const { root, state } = stage;
  const column = root.closest("#picture");
  if (!column) return;
  const frame = column.querySelector("#stage");
  const narrow = matchMedia(NARROW);
  const topOf = (element) => element.getBoundingClientRect().top;

  const fold = () => {
    if (!narrow.matches || !state.video || document.fullscreenElement) return set(0, 0, 0, null);
    const { video } = state;
    const lead = topOf(frame) - topOf(column);
    const gone = Math.max(0, -topOf(column.parentElement) - lead);
    const tools = root.querySelector(".toolbar").offsetHeight;
    const below = root.querySelector(".apply").offsetHeight || ROW;
    const tall = Math.min((viewport.clientWidth * video.height) / video.width, TALLEST * innerHeight);
    const small = Math.min(tall, STAYING * innerHeight - tools - ROW);
    const full = root.offsetHeight + tall - viewport.offsetHeight;
    if (full > innerHeight) return set(lead + full, 0, full, null); // its end is reached by scrolling, as ever
    const folded = Math.max(0, Math.min(gone, full - tools - small - below));
    set(lead, folded, full - folded, folded > 0 ? Math.max(small, tall - folded) : null);
  };

  const set = (lead, folded, left, tall) => {
    column.classList.toggle("folded", folded > 0);
    column.style.setProperty("--lead", `${-lead}px`);
    column.style.setProperty("--folded", `${folded}px`);
    column.style.setProperty("--left", `${left}px`);
    if (tall === null) root.style.removeProperty("--tall");
    else root.style.setProperty("--tall", `${tall}px`);
  };

  // What the keyboard reaches is not left under the fold.
  const unfold = ({ target }) => {
    if (!column.classList.contains("folded")) return;
    const bottom = target.getBoundingClientRect().bottom;
    if (bottom > frame.getBoundingClientRect().bottom) column.parentElement.scrollIntoView();
  };

  root.addEventListener("focusin", unfold, { signal });
  window.addEventListener("scroll", fold, { passive: true, signal });
  window.addEventListener("resize", fold, { signal });
  const sizes = new ResizeObserver(fold);
  sizes.observe(root);
  sizes.observe(column);
  signal.addEventListener("abort", () => sizes.disconnect());
}

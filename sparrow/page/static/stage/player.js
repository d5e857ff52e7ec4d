// A <video> -> its exact frames: says which one is shown, goes to one, plays a range of them.
// Knows the frame rate and nothing of masks.

class Player {
  shown = -1; // the frame that is on the canvas, -1 before the first one
  wanted = 0; // where the user wants to be: ahead of `shown` while the video seeks
  loop = true;
  #asked = -1; // what the running seek is for, or the one that waits for the video to open
  #url = "";

  /** `onframe(picture)` draws a new picture at once; `onchange()` follows play, pause, waiting and trouble. */
  constructor(video, onframe, onchange) {
    this.video = video;
    this.onframe = onframe;
    this.onchange = onchange;
    video.addEventListener("loadedmetadata", () => this.#asked >= 0 && this.#go());
    video.addEventListener("loadeddata", () => onframe());
    for (const name of ["loadeddata", "play", "pause", "waiting", "playing", "canplay", "error"])
      video.addEventListener(name, () => onchange());
    video.addEventListener("seeked", () => this.#arrived());
    video.addEventListener("ended", () => this.#reachedEnd());
    const next = (_, about) => {
      this.#presented(about.mediaTime);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  /** Show a video {url, frames, fps} from its first frame; null for none. The same url changes nothing. */
  load(about) {
    const url = about?.url ?? "";
    if (url === this.#url) return;
    this.#url = url;
    [this.shown, this.wanted, this.#asked] = [-1, 0, -1];
    this.frames = about?.frames ?? 0;
    this.fps = about?.fps ?? 1;
    this.span = [0, this.frames];
    this.video.pause();
    if (url) this.video.src = new URL(url, document.baseURI);
    else this.video.removeAttribute("src");
    this.video.load();
    this.onchange();
  }

  get playing() {
    return !this.video.paused && !this.video.ended;
  }

  /** Whether pictures are awaited. */
  get waiting() {
    return this.#url !== "" && !this.failed && this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  get failed() {
    return this.#url !== "" && this.video.error !== null;
  }

  /** Go to a frame; while one seek runs, only the last of those asked for is remembered. */
  seek(frame) {
    if (!this.frames) return;
    this.wanted = Math.min(Math.max(Math.round(frame), 0), this.frames - 1);
    if (this.#asked < 0) this.#go();
    this.onchange();
  }

  /** Step by frames, paused. */
  step(by) {
    this.pause();
    this.seek(this.wanted + by);
  }

  play() {
    if (!this.frames) return;
    if (this.wanted >= this.span[1] - 1) this.seek(this.span[0]);
    this.video.play().catch((error) => {
      if (error.name !== "AbortError" && error.name !== "NotAllowedError") throw error;
      this.onchange();
    });
  }

  pause() {
    this.video.pause();
    if (this.#asked < 0 && this.shown >= 0) this.wanted = this.shown;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Take the picture that is shown, and which frame it is: {source, frame, close()}; null while it seeks. */
  picture() {
    if (!this.frames || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    if (typeof VideoFrame === "undefined")
      return { source: this.video, frame: this.shown, close() {} };
    const source = this.#grabbed();
    if (!source) return null;
    this.shown = this.#indexAt(source.timestamp / 1e6);
    return { source, frame: this.shown, close: () => source.close() };
  }

  /** The picture with its own time (the video may be one further by now); null while the video is being changed. */
  #grabbed() {
    try {
      return new VideoFrame(this.video);
    } catch (error) {
      if (error.name === "InvalidStateError") return null; // an event follows as soon as there is one
      throw error;
    }
  }

  #indexAt(seconds) {
    return Math.min(Math.max(Math.round(seconds * this.fps), 0), this.frames - 1);
  }

  #go() {
    this.#asked = this.wanted;
    if (this.video.readyState < HTMLMediaElement.HAVE_METADATA) return; // again when it is open
    this.video.currentTime = (this.wanted + 0.5) / this.fps; // the middle of the frame: no rounding hurts
  }

  #arrived() {
    const reached = this.#asked;
    this.#asked = -1;
    if (this.wanted !== reached && !this.playing) this.#go();
    else if (this.shown === reached) this.onframe();
    this.onchange();
  }

  #presented(seconds) {
    if (!this.frames) return;
    const before = this.shown;
    this.shown = this.#indexAt(seconds);
    if (this.#asked < 0) this.wanted = this.shown;
    this.onframe();
    const last = this.span[1] - 1;
    const trimmed = this.span[1] < this.frames; // else the video ends by itself
    if (trimmed && this.playing && this.#asked < 0 && before <= last && this.shown >= last)
      this.#reachedEnd();
  }

  #reachedEnd() {
    const ended = this.video.ended;
    if (this.loop && this.span[1] - this.span[0] > 1) {
      this.seek(this.span[0]);
      if (ended) this.play();
    } else {
      this.pause();
      this.seek(this.span[1] - 1);
    }
  }
}

// Fetches the mask files of the objects, and decodes the frames that are looked at. A new version replaces
// the old one when it is there, so that nothing flickers; decoded frames are kept up to a number of bytes.
// One file is fetched at a time: a browser has six connections for all tabs of the page, and each holds some.

const MASK_BYTES = 48e6;

class Masks {
  #tracks = new Map(); // id -> {url, size, rles, scores, failed}
  #wanted = new Map(); // id -> the url of the latest version
  #tried = new Map(); // id -> the url fetched last, in vain or not
  #fetching = false;
  #decoded = new Map(); // "id/frame" -> {rle, mask}, the least recently used first
  #bytes = 0;

  /** `changed` is called when masks have come. */
  constructor(changed) {
    this.changed = changed;
  }

  /** Follow a list of objects: fetch what is new, forget what is gone. */
  sync(objects) {
    const there = new Set(objects.map((object) => object.id));
    for (const id of this.#wanted.keys()) {
      if (there.has(id)) continue;
      for (const known of [this.#wanted, this.#tried, this.#tracks]) known.delete(id);
    }
    for (const { id, masks } of objects) this.#wanted.set(id, masks.url);
    this.#fetchAll();
  }

  /** Fetch what is wanted, always the latest version; what comes meanwhile is fetched too. */
  async #fetchAll() {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      for (;;) {
        const next = [...this.#wanted].find(([id, url]) => this.#tried.get(id) !== url);
        if (!next) break;
        this.#tried.set(...next);
        await this.#fetch(...next);
      }
    } finally {
      this.#fetching = false;
    }
  }

  async #fetch(id, url) {
    let track = null;
    try {
      const answer = await fetch(new URL(url, document.baseURI));
      if (answer.ok) track = await answer.json();
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    }
    if (this.#wanted.get(id) !== url) return; // a newer version is on its way
    const whole = track && Array.isArray(track.rles) && Array.isArray(track.scores) && track.size;
    if (whole) this.#tracks.set(id, { url, ...track, failed: false });
    else this.#tracks.set(id, { ...(this.#tracks.get(id) ?? { rles: [], scores: [] }), failed: true });
    this.changed();
  }

  /** Whether the masks of an object are still on their way, with none to show meanwhile. */
  loading(id) {
    return this.#wanted.has(id) && !this.#tracks.has(id);
  }

  failed(id) {
    return this.#tracks.get(id)?.failed ?? false;
  }

  visible(id, frame) {
    return this.#tracks.get(id)?.rles[frame] != null;
  }

  /** How sure the tracker was, 0 to 1. */
  score(id, frame) {
    return this.#tracks.get(id)?.scores[frame] ?? 0;
  }

  /** The frame nearest to one, in which an object is seen; null if there is none. */
  nearest(id, frame) {
    const rles = this.#tracks.get(id)?.rles ?? [];
    for (let away = 0; away < rles.length; away++) {
      if (rles[frame + away] != null) return frame + away;
      if (rles[frame - away] != null) return frame - away;
    }
    return null;
  }

  /** The mask of an object in a frame, or null. */
  at(id, frame) {
    const track = this.#tracks.get(id);
    const rle = track?.rles[frame];
    return rle == null ? null : this.decode(`${id}/${frame}`, rle, track.size);
  }

  /** Decode counts, or find them decoded: an unchanged frame of a new version is. */
  decode(key, rle, [height, width]) {
    const known = this.#decoded.get(key);
    if (known) {
      this.#decoded.delete(key);
      this.#bytes -= known.mask?.bits.length ?? 0;
    }
    const mask = known?.rle === rle ? known.mask : decodeMask(rle, height, width);
    this.#decoded.set(key, { rle, mask });
    this.#bytes += mask?.bits.length ?? 0;
    for (const [oldest, { mask: old }] of this.#decoded) {
      if (this.#bytes <= MASK_BYTES || oldest === key) break;
      this.#decoded.delete(oldest);
      this.#bytes -= old?.bits.length ?? 0;
    }
    return mask;
  }
}

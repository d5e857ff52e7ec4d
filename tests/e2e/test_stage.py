"""The stage in a real browser: what is drawn is the frame that is shown, and what is touched is what is told."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import Browser

from sparrow import overlay
from sparrow.looks import MODES
from sparrow.page.stage import Can
from sparrow.types import MaskTrack, Referent, colour_of
from sparrow.video import Video, load_video
from sparrow.world.clip import CLIP, write_clip
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene
from tests.e2e.stage_host import StageHost
from tests.e2e.stage_viewer import Viewer
from tests.made_videos import Recipe, index_in, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SIZE_HW, FRAMES, FPS = (240, 320), 50, 25
SIDE = 60  # of the squares
WATCH_PLAYING = """async () => {
  const strip = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const { frame, maskPixel } = window.sparrowStage;
  const pairs = [];
  for (const end = performance.now() + 2500; performance.now() < end; ) {
    await new Promise(requestAnimationFrame);
    strip.drawImage(document.querySelector(".picture"), 0, 0);
    const row = strip.getImageData(0, 4, 64, 1).data;
    let index = 0;
    for (let bit = 0; bit < 8; bit++) index += (row[4 * (8 * bit + 4)] > 125) << bit;
    const left = 20 + 3 * index;
    pairs.push([index, frame(), maskPixel(left, 61)[0], maskPixel(left - 1, 61).length]);
  }
  return pairs;
}"""
MASKS_DRAWN = """(ids) => {
  const [width, height] = window.sparrowStage.size();
  const masks = ids.map(() => []);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const there = window.sparrowStage.maskPixel(x, y);
      ids.forEach((id, at) => masks[at].push(there.includes(id) ? 1 : 0));
    }
  return masks.map((mask) => mask.join(""));
}"""
LATE_METADATA = """() => addEventListener("loadedmetadata", (event) => {
  event.stopImmediatePropagation();
  const { target } = event;
  target.requestVideoFrameCallback(() => target.dispatchEvent(new Event("loadedmetadata")));
}, { capture: true, once: true })"""
HOSTILE = '<img src=x onerror="window.hurt=1">${window.hurt=1}{{7*7}}'


def corner(index: int, which: int) -> tuple[int, int]:
    """Where the upper left corner of a square is."""
    return (20 + 3 * index, 60) if which == 1 else (200 - index, 150)


def squares(index: int, size_hw: tuple[int, int]) -> np.ndarray:
    """Draw a frame (H, W, 3) uint8 RGB: a checked ground, two squares, and the index in binary on top."""
    rows, columns = np.ogrid[: size_hw[0], : size_hw[1]]
    ground = np.where((rows // 16 + columns // 16) % 2, 90, 130).astype(np.uint8)
    frame = np.repeat(ground[..., None], 3, axis=2)
    for which, colour in ((1, (200, 60, 40)), (2, (40, 90, 200))):
        x, y = corner(index, which)
        frame[y : y + SIDE, x : x + SIDE] = colour
    for bit in range(8):
        frame[:8, 8 * bit : 8 * bit + 8] = 230 if index >> bit & 1 else 20
    return frame


def track_of(which: int, *, shift: int = 0) -> MaskTrack:
    """Give the track of a square; the second one is away in frames 10 to 19."""
    frames = []
    for index in range(FRAMES):
        mask = np.zeros(SIZE_HW, dtype=bool)
        x, y = corner(index, which)
        if which == 1 or not 10 <= index < 20:
            mask[y : y + SIDE, x + shift : x + shift + SIDE] = True
        frames.append(mask)
    return MaskTrack.from_masks(which, frames, [0.9 if which == 1 else 0.4] * FRAMES)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    folder = tmp_path_factory.mktemp("stage")
    recipe = Recipe(frames=FRAMES, size_hw=SIZE_HW, fps=FPS, picture=squares, audio="aac")
    return load_video(write(folder / "squares.mp4", recipe))


@pytest.fixture(scope="module")
def server(video: Video) -> Iterator[StageHost]:
    host = StageHost(video.path.parent)
    host.page.launch(
        prevent_thread_lock=True,
        quiet=True,
        ssr_mode=False,
        run_history=False,
        allowed_paths=[str(host.folder)],
        theme=gr.themes.Soft(font=["sans-serif"], font_mono=["monospace"]),
    )
    yield host
    host.page.close()


@pytest.fixture
def host(server: StageHost, video: Video) -> StageHost:
    server.show(video, [track_of(1), track_of(2)], ["red square", HOSTILE])
    return server


@pytest.fixture
def viewer(browser: Browser, host: StageHost) -> Iterator[Viewer]:
    person = Viewer(browser, host)
    yield person
    person.context.close()
    assert person.troubles == []


def test_the_overlay_is_that_of_the_frame_that_is_shown(viewer: Viewer) -> None:
    for frame in (0, 1, 17, FRAMES - 1, 8):
        viewer.go(frame)
        assert index_in(viewer.canvas()) == frame
        for which in (1, 2):
            x, y = corner(frame, which)
            inside = [which] if which == 1 or not 10 <= frame < 20 else []
            assert viewer.ids(x, y) == viewer.ids(x + SIDE - 1, y + SIDE - 1) == inside
            assert viewer.ids(x - 1, y) == viewer.ids(x + SIDE, y) == []
            assert viewer.ids(x, y - 1) == viewer.ids(x, y + SIDE) == []
    assert viewer.page.evaluate("window.sparrowStage.size()") == [SIZE_HW[1], SIZE_HW[0]]


def test_every_pixel_of_a_worlds_masks(browser: Browser, server: StageHost) -> None:
    size_hw = (118, 160)  # no multiple of anything
    scene = Scene.sample(9, difficulty="full", atlas=load_atlas(), num_frames=16, fps=10.0)
    truth = write_clip(scene, server.folder / "world", size_hw=size_hw)
    tracks = [thing.track for thing in truth.things]
    server.show(load_video(server.folder / "world" / CLIP), tracks, [t.noun for t in truth.things])
    viewer = Viewer(browser, server)
    for frame in (0, 9, 15):
        viewer.go(frame)
        drawn = viewer.page.evaluate(MASKS_DRAWN, [track.referent_id for track in tracks])
        for track, digits in zip(tracks, drawn, strict=True):
            mask = np.frombuffer(digits.encode(), np.uint8).reshape(size_hw) == ord("1")
            assert np.array_equal(mask, track.mask(frame))
    viewer.context.close()
    assert viewer.troubles == []


def test_at_double_speed_picture_and_overlay_are_of_one_frame(viewer: Viewer) -> None:
    viewer.page.select_option("[aria-label=Speed]", "2")
    viewer.button("Play").click()
    pairs = viewer.page.evaluate(WATCH_PLAYING)
    assert len({index for index, *_ in pairs}) > 12
    assert all(index == frame and edge == [1, 0] for index, frame, *edge in pairs)


def test_what_is_seen_is_what_is_exported(viewer: Viewer, host: StageHost, video: Video) -> None:
    viewer.page.keyboard.press("t")  # without names: letters are drawn otherwise there
    viewer.go(5)
    tracks = [thing.track for thing in host.objects]
    referents = [Referent(i, "square", None, colour_of(i)) for i in (1, 2)]
    picture = video.read([5])[0]
    viewer.page.click(".toolbar .wide")
    for count, mode in enumerate(MODES[1:] + MODES[:1], start=2):
        viewer.page.check(f"input[value={mode}]")
        assert host.wait_for("look", count) == {"mode": mode, "opacity": 0.45, "label": False}
        viewer.page.wait_for_timeout(50)
        drawn = overlay.draw(picture, tracks, referents, 5, host.look).astype(int)
        off = np.abs(viewer.canvas().astype(int) - drawn).max(axis=2)
        # Decoders, chroma and blurs differ a little; a line or an edge elsewhere would be far off.
        assert np.mean(off > 24) < 0.005 and off.mean() < 4, (mode, off.mean())


@pytest.mark.parametrize("place", [(1400, 900), (700, 600), (390, 844), "fullscreen"])
def test_pointing_is_exact_at_any_size(viewer: Viewer, host: StageHost, place: object) -> None:
    page = viewer.page
    viewer.go(7)
    if isinstance(place, tuple):
        page.set_viewport_size({"width": place[0], "height": place[1]})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    else:
        page.keyboard.press("f")
        page.wait_for_function("document.fullscreenElement")
        page.wait_for_timeout(300)
    page.click("[data-tool='point+']")
    viewer.press_at(0.3, 0.65)
    point = host.wait_for("pointed")
    assert (point["frame"], point["kind"], point["object"]) == (7, "point+", None)
    assert point["at"] == pytest.approx([0.3, 0.65], abs=0.01)
    page.wait_for_selector(".apply")  # a preview came, and pushed what is below
    page.click("[data-tool=box]")
    viewer.press_at(0.8, 0.9, to=(0.5, 0.2))
    box = host.wait_for("pointed", 2)
    assert (box["kind"], box["object"]) == ("box", 3)
    assert box["at"] == pytest.approx([0.5, 0.2, 0.8, 0.9], abs=0.01)
    assert page.locator(".prompts .prompt").count() == 2


def test_a_finger_taps_and_drags(browser: Browser, host: StageHost) -> None:
    viewer = Viewer(browser, host, width=390)
    page = viewer.page
    page.tap("[data-tool='point-']")
    at = page.locator(".picture").bounding_box()
    assert at is not None
    page.touchscreen.tap(at["x"] + 0.25 * at["width"], at["y"] + 0.75 * at["height"])
    point = host.wait_for("pointed")
    assert point["kind"] == "point-"
    assert point["at"] == pytest.approx([0.25, 0.75], abs=0.01)
    assert not page.locator("ul.objects").is_visible()
    page.tap(".drawer")
    assert page.locator("ul.objects li").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    viewer.context.close()
    assert viewer.troubles == []


def test_the_keyboard(viewer: Viewer, host: StageHost) -> None:
    page = viewer.page
    for key, frame in (
        ("End", FRAMES - 1),
        ("ArrowLeft", FRAMES - 2),
        ("Shift+ArrowLeft", FRAMES - 12),
        ("Home", 0),
        ("ArrowRight", 1),
    ):
        page.keyboard.press(key)
        viewer.at(frame)
    page.keyboard.press("2")
    assert host.wait_for("object") == {"action": "select", "id": 2, "value": None}
    page.keyboard.press("h")
    assert host.wait_for("object", 2) == {"action": "hide", "id": 2, "value": None}
    page.wait_for_function("window.sparrowStage.drawnIds().join() === '1'")
    page.keyboard.press("Space")
    page.wait_for_function("!document.querySelector('#stage video').paused")
    page.keyboard.press("Space")
    page.keyboard.press("b")
    assert page.get_attribute("[data-tool=box]", "aria-pressed") == "true"
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Enter")
    point = host.wait_for("pointed")
    assert (point["kind"], point["at"], point["object"]) == ("point+", [0.52, 0.5], 2)
    page.wait_for_selector(".apply")
    page.keyboard.press("Enter")
    assert host.wait_for("edit") == {"action": "apply", "direction": "both"}
    page.keyboard.press("z")
    assert host.wait_for("edit", 2)["action"] == "undo"
    page.keyboard.press("Escape")
    host.wait_for("stop")
    before = len(host.events)
    page.fill("#typing", "")
    page.type("#typing", "2 hb")  # letters typed elsewhere are letters
    assert page.input_value("#typing") == "2 hb"
    assert len(host.events) == before


def test_objects(viewer: Viewer, host: StageHost) -> None:
    page = viewer.page
    row = page.locator("li[data-id='2']")
    assert HOSTILE in row.inner_text()  # as words
    assert "~40 %" in row.inner_text()
    page.locator("li[data-id='1']").get_by_role("button", name="Show only red square").click()
    page.wait_for_function("window.sparrowStage.drawnIds().join() === '1'")
    page.keyboard.press("1")
    page.keyboard.press("s")
    page.wait_for_function("window.sparrowStage.drawnIds().join() === '1,2'")
    row.locator(".name").dblclick()
    page.fill(".rename", "<b>blue</b>")
    page.keyboard.press("Enter")
    told = (host.wait_for("object", n) for n in range(1, 20))
    named = next(event for event in told if event["value"])
    assert named == {"action": "rename", "id": 2, "value": "<b>blue</b>"}
    page.wait_for_function(
        "document.querySelector(\"li[data-id='2'] .name\").textContent.includes('<b>')"
    )
    row.get_by_role("button", name="Colour of <b>blue</b>").click()
    page.click("[aria-label='Colour #009e73']")
    x, y = corner(0, 2)
    page.wait_for_timeout(300)
    red, green, _ = viewer.canvas()[y + 30, x + 30].astype(int)
    assert green > red + 40  # the fill has the new colour
    row.get_by_role("button", name="More about <b>blue</b>").click()
    page.get_by_role("menuitem", name="Delete").click()
    assert row.count() == 1  # asked again first
    page.get_by_role("menuitem", name="Delete it, for good").click()
    row.wait_for(state="detached")
    assert page.evaluate("window.hurt") is None


def test_the_timeline(viewer: Viewer, host: StageHost) -> None:
    page = viewer.page
    for place in (".ruler", "li[data-id='1'] .lane"):
        at = page.locator(place).bounding_box()
        assert at is not None
        page.mouse.click(at["x"] + at["width"] * 20.5 / FRAMES, at["y"] + at["height"] / 2)
        viewer.at(20)
        page.keyboard.press("Home")
        viewer.at(0)
    viewer.go(12)
    page.locator(".screen").focus()
    page.keyboard.press("i")
    viewer.page.keyboard.press("Shift+ArrowRight")
    viewer.at(22)
    page.keyboard.press("o")
    assert host.wait_for("trim", 2) == {"start": 12, "stop": 23}
    page.keyboard.press("Space")
    page.wait_for_timeout(900)  # longer than the trimmed part lasts
    assert 12 <= page.evaluate("window.sparrowStage.frame()") <= 23
    page.locator(".timeline .link").click()
    assert host.wait_for("trim", 3) == {"start": 0, "stop": FRAMES}


def test_words_outside_lead_into_the_video(viewer: Viewer, host: StageHost) -> None:
    page = viewer.page
    page.click("a[href='#f=7']")
    viewer.at(7)
    page.click("a[href='#t=1.0']")
    viewer.at(FPS)
    viewer.go(14)  # where the second square is away
    page.click("mark.ref-2")
    viewer.page.wait_for_function("[9, 20].includes(window.sparrowStage.frame())")
    assert host.wait_for("object") == {"action": "select", "id": 2, "value": None}
    page.click("mark.ref-99")
    assert page.url.endswith("/")


def test_new_masks_do_not_disturb_the_player(viewer: Viewer, host: StageHost) -> None:
    page = viewer.page
    page.evaluate("window.before = document.querySelector('#stage video')")
    page.keyboard.press("l")
    viewer.button("Play").click()
    page.wait_for_function("window.sparrowStage.frame() > 2")
    host.retracked(track_of(1, shift=9))
    page.evaluate("document.querySelector('#again').click()")
    page.wait_for_function("window.before.ended || window.before.paused")
    assert page.evaluate("document.querySelector('#stage video') === window.before")
    viewer.at(FRAMES - 1)  # it played to its end
    x, y = corner(FRAMES - 1, 1)
    assert viewer.ids(x + 2, y) == [] and viewer.ids(x + SIDE + 8, y) == [1]


def test_without_a_video_and_while_busy(viewer: Viewer, host: StageHost, video: Video) -> None:
    page = viewer.page
    host.show(None, [], [])
    host.notice = "Reading the video …"
    page.click("#again")
    page.get_by_text("Reading the video …").wait_for()
    page.keyboard.press("p")  # nothing to point at
    host.show(video, [], [])
    host.can = Can(busy=True, undo=True)
    host.seek = (30, 1)
    page.click("#again")
    viewer.at(30)
    assert page.locator("[data-tool='point+']").is_disabled()
    assert viewer.button("Undo").is_disabled()
    page.get_by_text("Nothing found yet.").wait_for()
    viewer.go(3)
    assert host.events == []


def test_the_first_picture_may_come_before_the_news_of_the_video(
    viewer: Viewer, host: StageHost, video: Video
) -> None:
    page = viewer.page
    host.show(None, [], [])
    page.click("#again")
    page.get_by_text("Choose a video").wait_for()
    page.evaluate(LATE_METADATA)
    host.show(video, [], [])
    host.seek = (30, 1)
    page.click("#again")
    viewer.at(30)
    assert index_in(viewer.canvas()) == 30


def test_an_open_menu_follows_the_work(viewer: Viewer, host: StageHost) -> None:
    page = viewer.page

    def set_busy(busy: bool) -> None:
        host.can = Can(busy=busy)
        page.evaluate("document.querySelector('#again').click()")  # leaves the menu open

    set_busy(True)
    page.wait_for_selector("[data-tool=box]:disabled")
    viewer.button("More about red square").click()
    delete = page.get_by_role("menuitem", name="Delete")
    assert delete.is_disabled()
    set_busy(False)
    page.wait_for_selector("[data-tool=box]:enabled")
    assert delete.is_enabled()
    set_busy(True)
    page.wait_for_selector("[data-tool=box]:disabled")
    assert delete.is_disabled()

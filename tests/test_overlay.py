"""Every look against the formulas in the docstring of looks.py, computed here in the plainest way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from sparrow import looks
from sparrow.looks import MODES, Look, Mode, pattern_of
from sparrow.overlay import draw
from sparrow.types import MaskTrack, Referent, colour_of
from sparrow.video import Video
from tests import made_videos as made

BLUE = Referent(1, "the square", None, "#0072b2")


def rgb_of(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def over(picture: np.ndarray, where: np.ndarray, colour: np.ndarray, amount: float) -> None:
    picture[where] = picture[where] * (1 - amount) + colour * amount


def outline_by_the_book(
    picture: np.ndarray, mask: np.ndarray, referent: Referent, mode: Mode
) -> None:
    t = looks.line(mask.shape)
    depth = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    rows, columns = np.nonzero(mask)
    y, x = np.indices(mask.shape) - np.array([rows.min(), columns.min()])[:, None, None]
    near, pattern = (depth >= 1) & (depth <= t), pattern_of(referent.id)
    bands = {"double": 3 * t}
    band = bands.get(pattern, t if mode == "mask" else 2 * t)
    line = near
    if pattern == "double":
        line = near | ((depth > 2 * t) & (depth <= 3 * t))
    elif pattern != "solid":
        n = t * (looks.DASH if pattern == "dashed" else looks.DOT)
        line = near & ((x // n + y // n) % 2 == 0)
    over(picture, (depth >= 1) & (depth <= band), np.zeros(3), looks.CASING)
    over(picture, line, rgb_of(referent.colour), 1)


def by_the_book(
    frame: np.ndarray,
    tracks: list[MaskTrack],
    referents: list[Referent],
    index: int,
    look: Look,
) -> np.ndarray:
    """Paint without labels, (H, W, 3) float."""
    picture, size_hw = frame.astype(np.float64), frame.shape[:2]
    covered = np.zeros(size_hw, dtype=bool)
    for track, referent in zip(tracks, referents, strict=True):
        mask = track.mask(index)
        covered |= mask
        if not mask.any():
            continue
        x0, y0, x1, y1 = (int(v) for v in track.boxes[index])
        if look.mode == "mask":
            over(picture, mask, rgb_of(referent.colour), look.opacity)
        if look.mode == "box":
            mask = np.zeros_like(mask)
            mask[y0:y1, x0:x1] = True
        if look.mode in ("mask", "outline", "box"):
            outline_by_the_book(picture, mask, referent, look.mode)
        if look.mode == "blur-object":
            m = looks.privacy_growth(size_hw)
            grown = ndimage.binary_dilation(mask, np.ones((2 * m + 1, 2 * m + 1)))
            sigma = looks.privacy_blur(size_hw, (x0, y0, x1, y1))
            picture[grown] = soft(picture, sigma)[grown]
    if look.mode == "spotlight":
        over(picture, ~covered, np.zeros(3), looks.DARKENING)
    if look.mode == "blur-rest":
        picture[~covered] = soft(picture, looks.blur(size_hw))[~covered]
    if look.mode == "cut-out":
        picture[~covered] = rgb_of(looks.GROUND)
    return picture


def soft(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(ndimage.gaussian_filter(picture, (sigma, sigma, 0), mode="mirror"))


def blobs(size_hw: tuple[int, int], count: int) -> tuple[list[MaskTrack], list[Referent]]:
    """Things of every pattern that overlap, touch the border and are absent in frame 1."""
    rng = np.random.default_rng(size_hw)
    tracks, referents = [], []
    for number in range(1, count + 1):
        noise = ndimage.gaussian_filter(rng.normal(size=size_hw), min(size_hw) / 12)
        mask = noise > np.quantile(noise, 0.8)
        tracks.append(MaskTrack.from_masks(number, [mask, np.zeros_like(mask)], [1.0, 0.0]))
        referents.append(Referent(number, f"thing {number}", None, colour_of(number)))
    return tracks, referents


@pytest.mark.parametrize("size_hw", [(1, 1), (17, 23), (64, 96), (240, 320), (500, 366)])
@pytest.mark.parametrize("mode", MODES)
def test_every_look_is_painted_by_its_formula(size_hw: tuple[int, int], mode: Mode) -> None:
    rng = np.random.default_rng(3)
    frame = rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    tracks, referents = blobs(size_hw, 4)
    look = Look(mode, 0.6, label=False)
    for index in (0, 1):
        drawn = draw(frame, tracks, referents, index, look).astype(np.float64)
        expected = by_the_book(frame, tracks, referents, index, look)
        if "blur" in mode:
            assert np.abs(drawn - expected).mean() < 2  # wide blurs are made on a smaller picture
            same = (expected == frame).all(axis=-1)
            assert np.array_equal(drawn[same], frame[same])
        else:
            assert np.abs(drawn - expected).max() <= 2  # rounded where layers lie over each other


@pytest.mark.parametrize("mode", MODES)
def test_where_nothing_is_shown_the_picture_stays(mode: Mode) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    assert np.array_equal(draw(frame, [], [BLUE], 0, Look(mode)), frame)


def test_the_callers_frame_is_untouched() -> None:
    tracks, referents = blobs((64, 96), 2)
    frame = np.full((64, 96, 3), 9, dtype=np.uint8)
    for mode in MODES:
        draw(frame, tracks, referents, 0, Look(mode))
        assert (frame == 9).all()


def test_an_opaque_fill_without_label_changes_the_mask_and_nothing_else() -> None:
    tracks, referents = blobs((64, 96), 1)
    frame = np.full((64, 96, 3), 9, dtype=np.uint8)
    drawn = draw(frame, tracks, referents, 0, Look(opacity=1.0, label=False))
    mask = tracks[0].mask(0)
    assert (drawn[mask] == rgb_of(referents[0].colour)).all()
    assert (drawn[~mask] == 9).all()


def test_patterns_can_be_told_apart_without_colour() -> None:
    """The share of an outline's outer line that is drawn, and whether there is a second one."""
    mask = np.zeros((400, 400), dtype=bool)
    mask[50:350, 50:350] = True
    frame = np.full((400, 400, 3), 255, dtype=np.uint8)
    lines = []
    for number in range(1, 5):
        track = MaskTrack.from_masks(number, [mask], [1.0])
        white = [Referent(number, "", None, "#00ff00")]
        drawn = draw(frame, [track], white, 0, Look("outline"))
        lines.append((drawn == (0, 255, 0)).all(axis=-1))
    solid, dashed, double, dotted = lines
    t = looks.line((400, 400))
    assert solid.sum() == 300**2 - (300 - 2 * t) ** 2
    assert double.sum() > 1.8 * solid.sum()
    for broken in (dashed, dotted):
        assert 0.4 < broken.sum() / solid.sum() < 0.6
    changes = [np.count_nonzero(np.diff(line[50, 50:350].astype(int))) for line in lines]
    assert changes[0] == changes[2] == 0
    assert changes[3] > 2 * changes[1] > 20


def test_a_thing_blurred_for_privacy_cannot_be_recognised() -> None:
    """Of two things that differ in every detail but not in mean, nothing tells which one it was."""
    rng = np.random.default_rng(1)
    size_hw = (360, 480)
    mask = np.zeros(size_hw, dtype=bool)
    mask[100:260, 150:270] = True
    track = MaskTrack.from_masks(1, [mask], [1.0])
    seen = []
    for _ in range(2):
        face = np.kron(rng.integers(0, 2, (16, 12)) * 200 + 20, np.ones((10, 10)))
        frame = np.full((*size_hw, 3), 120, dtype=np.uint8)
        frame[100:260, 150:270] = (face - face.mean() + 120).clip(0, 255)[..., None]
        drawn = draw(frame, [track], [BLUE], 0, Look("blur-object", label=False))
        seen.append((frame.astype(float), drawn.astype(float)))
    (before_a, after_a), (before_b, after_b) = seen
    assert np.abs(before_a - before_b)[mask].mean() > 80
    assert np.abs(after_a - after_b)[mask].mean() < 6
    grown = ndimage.binary_dilation(mask, np.ones((11, 11)))  # what lies just outside goes too
    assert np.array_equal(after_a[~grown], before_a[~grown])


def test_labels_are_written_in_every_mode() -> None:
    mask = np.zeros((120, 200), dtype=bool)
    mask[60:100, 20:120] = True
    track = MaskTrack.from_masks(1, [mask], [1.0])
    frame = np.full((120, 200, 3), 40, dtype=np.uint8)
    for mode in MODES:
        with_label, without = (
            draw(frame, [track], [BLUE], 0, Look(mode, label=label)) for label in (True, False)
        )
        changed = np.argwhere((with_label != without).any(axis=-1))
        assert changed[:, 0].max() < 60  # above the thing
        assert changed[:, 1].min() == 20


PHRASES = ["", " ", "x", "é à ü", "狐狸", "🦊 fox", "a\nb\tc\x00\x1b[31m", "w" * 500, "\ud800"]


@pytest.mark.parametrize("phrase", PHRASES)
def test_any_phrase_can_be_a_label(plain_video: Video, phrase: str) -> None:
    frame = plain_video.read([0])[0]
    mask = np.zeros(plain_video.size_hw, dtype=bool)
    x0, y0, x1, y1 = made.square_at(0)
    mask[y0:y1, x0:x1] = True
    track = MaskTrack.from_masks(1, [mask], [1.0])
    drawn = draw(frame, [track], [Referent(1, phrase, None, "#f0e442")], 0)
    assert drawn.shape == frame.shape


@pytest.mark.parametrize("mode", MODES)
def test_masks_at_every_border_and_odd_sizes(mode: Mode) -> None:
    for size_hw in ((17, 23), (18, 24), (1, 1), (2, 40)):
        frame = np.full((*size_hw, 3), 9, dtype=np.uint8)
        corners = itertools.product({0, size_hw[0] - 1}, {0, size_hw[1] - 1})
        for (row, column), number in itertools.product(corners, (1, 2, 3, 4)):
            mask = np.zeros(size_hw, dtype=bool)
            mask[row, column] = True
            track = MaskTrack.from_masks(number, [mask, np.ones(size_hw, dtype=bool)], [1.0, 1.0])
            referent = Referent(number, "corner", None, colour_of(number))
            for index in (0, 1):
                look = Look(mode, label=False)
                drawn = draw(frame, [track], [referent], index, look).astype(float)
                if "blur" not in mode:
                    expected = by_the_book(frame, [track], [referent], index, look)
                    assert np.abs(drawn - expected).max() <= 2


def test_later_tracks_lie_above() -> None:
    whole = [np.ones((8, 8), dtype=bool)]
    tracks = [MaskTrack.from_masks(number, whole, [1.0]) for number in (5, 1)]
    referents = [Referent(1, "", None, "#ff0000"), Referent(5, "", None, "#00ff00")]
    frame = np.zeros((8, 8, 3), dtype=np.uint8)
    assert (draw(frame, tracks, referents, 0, Look(opacity=1.0)) == (255, 0, 0)).all()


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)],
)
def test_draw_refuses_other_pictures(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        draw(frame, [], [], 0)


def test_draw_refuses_tracks_that_do_not_fit() -> None:
    tracks, referents = blobs((64, 96), 1)
    with pytest.raises(ValueError, match=r"expected masks of \(8, 8\)"):
        draw(np.zeros((8, 8, 3), np.uint8), tracks, referents, 0)
    with pytest.raises(ValueError, match="no referent"):
        draw(np.zeros((64, 96, 3), np.uint8), tracks, [], 0)

import numpy as np
import pytest

from sparrow.model.linking import FrameProposals, LinkConfig, distinct, link

RED, BLUE = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def proposals(*things: tuple[float, float, np.ndarray], score: float = 0.9) -> FrameProposals:
    """Boxes of side 0.1 around the centres (x, y), each with its appearance."""
    centre = np.array([[x, y] for x, y, _ in things], np.float32).reshape(-1, 2)
    boxes = np.concatenate([centre - 0.05, centre + 0.05], axis=1)
    features = np.array([look for *_, look in things], np.float32).reshape(-1, 3)
    return FrameProposals(boxes, np.full(len(things), score, np.float32), features)


def centres(track: np.ndarray) -> np.ndarray:
    return (track[:, 0] + track[:, 2]) / 2


@pytest.mark.parametrize(
    ("frames", "tracks"),
    [
        ([], 0),
        ([proposals()], 0),
        ([proposals((0.5, 0.5, RED))], 1),
        ([proposals((0.5, 0.5, RED)), proposals()], 0),
        ([proposals((0.5, 0.5, RED)), proposals((0.5, 0.5, RED))], 1),
        ([proposals((0.5, 0.5, RED), score=0.33)] * 3, 0),
        ([proposals((0.5, 0.5, RED), score=0.6)] * 2 + [proposals()] * 6, 0),
    ],
    ids=[
        "none",
        "empty",
        "single frame",
        "seen once",
        "seen twice",
        "weak",
        "weak and seldom seen",
    ],
)
def test_number_of_tracks(frames, tracks):
    linked = link(frames, LinkConfig())
    assert linked.boxes.shape == (tracks, len(frames), 4)
    assert linked.scores.shape == (tracks,)


def test_crossing_things_keep_their_tracks_by_their_look():
    steps = np.linspace(0.2, 0.8, 8)
    frames = [proposals((x, 0.5, RED), (1 - x, 0.5, BLUE)) for x in steps]
    linked = link(frames, LinkConfig())
    assert len(linked.boxes) == 2
    rising = next(t for t in linked.boxes if centres(t)[0] < 0.5)
    assert np.allclose(centres(rising), steps, atol=1e-6)


def test_a_gap_is_bridged_and_left_unseen():
    frames = [proposals((0.1 + 0.08 * t, 0.5, RED)) for t in range(6)]
    frames[2] = frames[3] = proposals()
    linked = link(frames, LinkConfig())
    assert len(linked.boxes) == 1
    assert np.isnan(linked.boxes[0, :, 0]).tolist() == [False, False, True, True, False, False]


def test_a_thing_is_found_again_by_its_look_after_a_long_gap():
    frames = [proposals((0.5, 0.5, RED))] * 2 + [proposals()] * 5 + [proposals((0.8, 0.5, RED))] * 2
    assert len(link(frames, LinkConfig()).boxes) == 1


def test_what_looks_different_far_away_is_another_thing():
    frames = [proposals((0.1, 0.5, RED))] * 3 + [proposals((0.9, 0.5, BLUE))] * 3
    assert len(link(frames, LinkConfig()).boxes) == 2


def test_two_proposals_of_a_frame_are_never_one_track():
    frames = [proposals((0.5, 0.5, RED), (0.51, 0.5, RED))] * 4
    linked = link(frames, LinkConfig())
    assert len(linked.boxes) == 2 and not np.isnan(linked.boxes).any()


def test_things_of_one_look_in_one_place_are_told_apart_by_size():
    small, large = np.array([0.3, 0.3, 0.4, 0.4]), np.array([0.3, 0.3, 0.7, 0.7])
    both = np.stack([small, large]).astype(np.float32)
    frames = [FrameProposals(both, np.full(2, 0.9, np.float32), np.stack([RED, RED]))] * 3
    linked = link(frames, LinkConfig())
    sides = linked.boxes[..., 2] - linked.boxes[..., 0]
    assert sorted(sides.mean(1).tolist()) == pytest.approx([0.1, 0.4], abs=1e-6)


def test_only_the_best_tracks_are_kept_best_first():
    many = proposals(*[(0.1 + 0.2 * i, 0.5, RED) for i in range(5)])
    many = FrameProposals(
        many.boxes, np.array([0.5, 0.9, 0.6, 0.8, 0.7], np.float32), many.features
    )
    linked = link([many, many], LinkConfig(max_tracks=3))
    assert np.allclose(linked.scores, [0.9, 0.8, 0.7])


@pytest.mark.parametrize(
    ("boxes", "scores", "kept"),
    [
        ([], [], []),
        ([[0, 0, 1, 1]], [0.1], []),
        ([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.4]], [0.5, 0.9], [1]),
        ([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.3]], [0.9, 0.5], [0, 1]),
        ([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5]], [0.3, 0.9], [1, 0]),
    ],
    ids=["none", "too weak", "doubled", "at the limit", "apart"],
)
def test_distinct_proposals(boxes, scores, kept):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    assert distinct(boxes, np.array(scores, np.float32), LinkConfig()).tolist() == kept

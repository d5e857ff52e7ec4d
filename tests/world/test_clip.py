import json
from fractions import Fraction

import av
import numpy as np
import pytest

from sparrow.errors import SparrowError
from sparrow.world import clip
from sparrow.world.dialogue import dialogue
from sparrow.world.picture import load_atlas
from sparrow.world.scene import Scene

SIZE = (120, 160)


@pytest.fixture(scope="module")
def scene():
    return Scene.sample(8_000_003, difficulty="full", atlas=load_atlas(), num_frames=16, fps=12.5)


@pytest.fixture(scope="module")
def written(scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds") / "new" / "clip"
    return folder, clip.write_clip(scene, folder, size_hw=SIZE, tone=True)


def test_the_picture_has_every_frame_at_its_rate(scene, written):
    folder, _ = written
    with av.open(str(folder / clip.CLIP)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(25, 2)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == 16
    for index in (0, 15):
        drawn = scene.render(index, SIZE).rgb.astype(int)
        assert np.abs(frames[index] - drawn).mean() < 6.0


def test_the_tone_lasts_as_long_as_the_picture(written):
    with av.open(str(written[0] / clip.CLIP)) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        waves = [f.to_ndarray() for f in container.decode(sound)]
    samples = np.concatenate(waves, axis=1)[0]
    assert samples.size / 16000 == pytest.approx(16 / 12.5, abs=0.1)
    assert 0.03 < np.abs(samples).max() < 0.2


def test_no_tone_no_sound(scene, tmp_path):
    clip.write_clip(scene, tmp_path, size_hw=(32, 48))
    with av.open(str(tmp_path / clip.CLIP)) as container:
        assert not container.streams.audio


def test_the_annotation_tells_what_was_drawn(scene, written):
    annotation = clip.read_annotation(written[0])
    assert (annotation.seed, annotation.difficulty) == (8_000_003, "full")
    assert (annotation.size_hw, annotation.fps, annotation.num_frames) == (SIZE, 12.5, 16)
    assert [t.noun for t in annotation.things] == [t.noun for t in scene.things]
    for index in (0, 9):
        drawn = scene.render(index, SIZE)
        for record, mask, box, share in zip(
            annotation.things, drawn.masks, drawn.boxes, drawn.visibility, strict=True
        ):
            np.testing.assert_array_equal(record.track.mask(index), mask)
            np.testing.assert_array_equal(record.track.boxes[index], box)
            assert record.visibility[index] == pytest.approx(share, abs=1e-4)


def test_the_annotation_comes_back_as_it_went(written):
    folder, given = written
    read = clip.read_annotation(folder)
    assert read.dialogues == given.dialogues
    for one, other in zip(read.things, given.things, strict=True):
        assert one.spans == other.spans and one.track.rles == other.track.rles
        np.testing.assert_array_equal(one.visibility, other.visibility)


def test_dialogues_depend_on_the_seed_alone(scene, written):
    rng = np.random.Generator(np.random.PCG64([scene.seed, 2, 1]))
    assert written[1].dialogues[1] == dialogue(scene, rng, 6)
    assert written[1].dialogues[0] != written[1].dialogues[1]


def test_writing_twice_gives_the_same_and_leaves_nothing_else(scene, written, tmp_path):
    for _ in range(2):
        clip.write_clip(scene, tmp_path, size_hw=SIZE, tone=True)
    given = written[0] / clip.ANNOTATION
    assert (tmp_path / clip.ANNOTATION).read_bytes() == given.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {clip.CLIP, clip.ANNOTATION}


def test_an_odd_size_is_refused_and_leaves_nothing(scene, tmp_path):
    with pytest.raises(ValueError, match="even size"):
        clip.write_clip(scene, tmp_path, size_hw=(31, 48))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"seed": 1, "size_hw": [1]}', '{"seed": "one"}']
)
def test_what_is_no_annotation_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / clip.ANNOTATION).write_text(text)
    with pytest.raises(SparrowError, match="annotation"):
        clip.read_annotation(tmp_path)


def test_the_file_is_plain_json(written):
    row = json.loads((written[0] / clip.ANNOTATION).read_text())
    assert set(row) == {
        *("seed", "difficulty", "size_hw", "fps", "num_frames", "things", "dialogues")
    }
    assert all(isinstance(rle, str | None) for thing in row["things"] for rle in thing["rles"])

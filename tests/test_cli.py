"""The command line: exit codes, one-line errors, the files it promises. With a model of random weights."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparrow.cli import main
from sparrow.video import Video, load_video
from tests.made_models import save_random_model


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("random-model"))


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "sing",
        "world --out here",
        "world --seed -1 --out here",
        "world --seed 1.5 --out here",
        "world --seed 1 --out here --difficulty hard",
        "world --se 1 --out here",
        "track video.mp4 --frame 0 --out here",
        "track video.mp4 --frame 0 --box 1,2,3 --out here",
        "track video.mp4 --frame 0 --box 1,2,3,nan --out here",
        "track video.mp4 --frame 0 --box 1,2,3,4 --point 1,2 --out here",
        "track video.mp4 --frame -1 --box 1,2,3,4 --out here",
        "ask video.mp4 --out here",
        "ask video.mp4 what? --out here --format avi",
        "ask video.mp4 what? --out here --format mp4,",
        "ask video.mp4 what? --out here --look wild",
        "bench",
        "bench world --json file.json",
        "train",
        "atlas packs",
        "atlas packs --out a.zip --training folder",
    ],
)
def test_wrong_usage_exits_with_2(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == 2
    assert "usage: sparrow" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("ask {tmp}/none.mp4 what? --out {tmp}/out", "none.mp4"),
        ("track {tmp}/none.mp4 --frame 0 --point 1,2 --out {tmp}/out", "none.mp4"),
        ("bench world --seeds 5:5 --json {tmp}/b.json", "A < B"),
        ("bench world --seeds five --json {tmp}/b.json", "A:B"),
        ("bench world --seeds 1:2 --json {tmp}/b.json --model {tmp}/none", "none"),
        ("train {tmp}/none.yaml --runs {tmp}", "none.yaml"),
        ("atlas {tmp} --out {tmp}/a.zip", "npm pack"),
        ("atlas {tmp} --out {tmp}/a.zip --own {tmp}", "--own goes with --training"),
        ("atlas {tmp} --training {tmp}/training", "found no package"),
        ("world --seed 1 --out {tmp}/file/below", "file"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert main(arguments.format(tmp=tmp_path).split()) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("sparrow: ")]
    assert len(lines) == 1
    assert message in lines[0]


def test_world_writes_a_clip_and_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom sparrow.cli import main\n"
        "assert main(['world', '--seed', '8100003', '--out', sys.argv[1]]) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    for folder in ("one", "two"):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / folder)], check=True, timeout=120
        )
    one, two = tmp_path / "one", tmp_path / "two"
    assert {path.name for path in one.iterdir()} == {"clip.mp4", "annotation.json"}
    assert (one / "annotation.json").read_bytes() == (two / "annotation.json").read_bytes()
    assert load_video(one / "clip.mp4").num_frames == 40


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sparrow", "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: sparrow")


def check_masks(path: Path, video: Video) -> list[dict[str, object]]:
    """Check masks.json against the video and give its annotations."""
    content = json.loads(path.read_text())
    (described,) = content["videos"]
    height, width = video.size_hw
    assert (described["height"], described["width"]) == (height, width)
    assert described["length"] == video.num_frames
    for annotation in content["annotations"]:
        for key in ("segmentations", "bboxes", "scores"):
            assert len(annotation[key]) == video.num_frames
    return list(content["annotations"])


@pytest.mark.parametrize("prompt", [["--box", "20,10,60,40"], ["--point", "30,20", "40,25"]])
def test_track_writes_masks_and_video(
    prompt: list[str],
    clip: Callable[[str], Path],
    plain_video: Video,
    random_model: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    where = ["--frame", "3", *prompt, "--out", str(out), "--model", str(random_model)]
    assert main(["track", str(clip("plain.mp4")), *where]) == 0
    assert {path.name for path in out.iterdir()} == {"masks.json", "annotated.mp4"}
    (annotation,) = check_masks(out / "masks.json", plain_video)
    assert annotation["id"] == 1
    annotated = load_video(out / "annotated.mp4")
    assert annotated.num_frames == plain_video.num_frames
    assert annotated.size_hw == plain_video.size_hw
    assert annotated.has_audio


def test_formats_and_look_are_the_users_choice(
    clip: Callable[[str], Path], random_model: Path, tmp_path: Path
) -> None:
    where = ["--frame", "3", "--box", "20,10,60,40", "--model", str(random_model)]
    chosen = ["--format", "mot,png,mp4", "--look", "cut-out"]
    assert main(["track", str(clip("plain.mp4")), *where, *chosen, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "annotated.mp4",
        "mot.zip",
        "png-masks.zip",
    }
    with zipfile.ZipFile(tmp_path / "png-masks.zip") as archive:
        first = np.array(Image.open(io.BytesIO(archive.read("masks/00003.png"))))
    drawn = load_video(tmp_path / "annotated.mp4").read([3])[0]
    assert np.median(drawn[first == 0]) < 40  # the plain ground of a cut-out, but for the label


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (["--frame", "30", "--point", "3,3"], "expected 0 to 29, got 30"),
        (["--frame", "0", "--point", "97,3"], "96 x 64"),
        (["--frame", "0", "--box", "20,10,20,40"], "x0 < x1"),
    ],
)
def test_prompts_outside_the_video_are_refused(
    prompt: list[str],
    message: str,
    clip: Callable[[str], Path],
    random_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rest = ["--out", str(tmp_path / "out"), "--model", str(random_model)]
    assert main(["track", str(clip("plain.mp4")), *prompt, *rest]) == 1
    assert message in capsys.readouterr().err


def test_ask_writes_what_it_prints(
    clip: Callable[[str], Path],
    plain_video: Video,
    random_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPARROW_MODEL", str(random_model))
    out = tmp_path / "deep" / "out"
    assert main(["ask", str(clip("plain.mp4")), "what is moving?", "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"answer.json", "masks.json", "annotated.mp4"}
    answer = json.loads((out / "answer.json").read_text())
    assert answer["text"] == capsys.readouterr().out.rstrip("\n")
    assert answer["question"] == "what is moving?"
    tracked = [annotation["id"] for annotation in check_masks(out / "masks.json", plain_video)]
    assert tracked == [referent["id"] for referent in answer["referents"]]
    assert np.all(np.diff(answer["frames"]) > 0)

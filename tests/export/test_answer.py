from __future__ import annotations

from pathlib import Path

import pytest

from sparrow.export.answer import read_answer_json, write_answer_json
from sparrow.export.files import ExportError
from sparrow.export.youtube_vis import write_masks_json
from sparrow.types import GroundedAnswer, MaskTrack
from sparrow.video import Video
from tests.export.made import REFERENTS, TEXT, strict


def test_answer_comes_back(plain_video: Video, tracks: list[MaskTrack], tmp_path: Path) -> None:
    answer = GroundedAnswer(
        TEXT, REFERENTS, tuple(tracks), (3, 11, 18), {"encode": 0.25, "track": 1.5}, False
    )
    path = write_answer_json(
        tmp_path / "answer.json", answer, question="Who?", model="sparrow-mini"
    )
    content = strict(path)
    assert content["text"] == TEXT
    assert content["question"] == "Who?"
    assert content["referents"] == [
        {"id": 1, "phrase": "the fox", "span": [4, 11], "colour": "#e69f00"},
        {"id": 4, "phrase": '狐狸 "é"', "span": None, "colour": "#56b4e9"},
    ]
    assert content["frames"] == [3, 11, 18]
    assert content["seconds"] == {"encode": 0.25, "track": 1.5}
    again = read_answer_json(path, tracks)
    assert again == answer


def test_an_older_file_stays_until_the_new_one_is_whole(
    plain_video: Video, tracks: list[MaskTrack], tmp_path: Path
) -> None:
    path = write_masks_json(tmp_path / "masks.json", plain_video, tracks)
    before = path.read_text()
    answer = GroundedAnswer("x", seconds={"encode": float("inf")})
    with pytest.raises(ValueError, match="JSON"):
        write_answer_json(path, answer)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "NaN", '{"videos": [], "annotations": NaN}', "[" * 10**5]
)
def test_files_that_are_not_this_json_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answer.json"
    path.write_text(text)
    with pytest.raises(ExportError, match=r"answer\.json"):
        read_answer_json(path)
    with pytest.raises(ExportError, match=r"absent\.json"):
        read_answer_json(tmp_path / "absent.json")

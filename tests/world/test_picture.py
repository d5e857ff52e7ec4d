import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from sparrow.errors import SparrowError
from sparrow.world import picture
from sparrow.world.picture import Picture, load_atlas


def png(width, height, colour=(200, 30, 30, 255)):
    buffer = io.BytesIO()
    Image.new("RGBA", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def row(key, noun="fox", *, held_out=False, colour="red"):
    return Picture(key, noun, "animal", colour, "3d", held_out)


def folder_atlas(tmp_path, rows, backgrounds=()):
    for entry in rows:
        (tmp_path / entry.key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / entry.key).write_bytes(png(3, 2))
    (tmp_path / "index.json").write_bytes(picture.write_index(rows, backgrounds))
    return load_atlas(tmp_path)


def test_missing_atlas_is_named(tmp_path):
    with pytest.raises(SparrowError, match="nothing there"):
        load_atlas(tmp_path / "none.zip")


def test_folder_without_index_is_refused(tmp_path):
    with pytest.raises(SparrowError, match=r"index\.json"):
        load_atlas(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("not json", "not an atlas index"),
        ("[]", "not an atlas index"),
        ('{"pictures": []}', "not an atlas index"),
        ('{"pictures": [{"key": "a"}], "backgrounds": []}', "not an atlas index"),
        ('{"pictures": [], "backgrounds": ["../secret.jpg"]}', "outside"),
        ('{"pictures": [], "backgrounds": ["/etc/secret.jpg"]}', "outside"),
    ],
)
def test_broken_index_is_refused(tmp_path, index, message):
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(SparrowError, match=message):
        load_atlas(tmp_path)


def test_unknown_colour_is_refused(tmp_path):
    with pytest.raises(SparrowError, match="mauve"):
        folder_atlas(tmp_path, [row("things/fox/a.png", colour="mauve")])


def test_zip_that_is_none_is_refused(tmp_path):
    path = tmp_path / "atlas.zip"
    path.write_bytes(b"PK not really")
    with pytest.raises(SparrowError, match="not an atlas zip"):
        load_atlas(path)


def test_zip_that_lacks_a_picture_is_refused(tmp_path):
    path = tmp_path / "atlas.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("index.json", picture.write_index([row("things/fox/a.png")], ()))
    with pytest.raises(SparrowError, match="not there"):
        load_atlas(path)


def test_zip_that_unpacks_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "MAX_BYTES", 5_000)
    path = tmp_path / "atlas.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "index.json", json.dumps({"pictures": [], "backgrounds": [], "x": "0" * 9_000})
        )
    with pytest.raises(SparrowError, match="unpacks"):
        load_atlas(path)


def test_broken_picture_is_refused_when_it_is_used(tmp_path):
    atlas = folder_atlas(tmp_path, [row("things/fox/a.png")])
    (tmp_path / "things/fox/a.png").write_bytes(png(3, 2)[:40])
    with pytest.raises(SparrowError, match="not a readable image"):
        atlas.pixels("things/fox/a.png")


def test_picture_beyond_the_limit_is_refused(tmp_path):
    atlas = folder_atlas(tmp_path, [row("things/fox/a.png")])
    (tmp_path / "things/fox/a.png").write_bytes(png(picture.MAX_SIDE + 1, 1))
    with pytest.raises(SparrowError, match="sides up to"):
        atlas.pixels("things/fox/a.png")


def test_pixels_are_decoded_once_and_cannot_be_changed(tmp_path):
    atlas = folder_atlas(tmp_path, [row("things/fox/a.png")])
    pixels = atlas.pixels("things/fox/a.png")
    assert pixels.shape == (2, 3, 4)
    assert pixels[0, 0].tolist() == [200, 30, 30, 255]
    assert atlas.pixels("things/fox/a.png") is pixels
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0] = 1


def test_unknown_keys_and_nouns(tmp_path):
    atlas = folder_atlas(tmp_path, [row("things/fox/a.png")])
    assert atlas.of_noun("gnu") == ()
    with pytest.raises(SparrowError, match="not in this atlas"):
        atlas.pixels("things/gnu/a.png")


def test_held_out_pictures_are_only_given_when_asked_for(tmp_path):
    rows = [row("things/fox/a.png"), row("things/fox/b.png", held_out=True)]
    atlas = folder_atlas(tmp_path, rows)
    assert [p.key for p in atlas.of_noun("fox")] == ["things/fox/a.png"]
    assert [p.key for p in atlas.select("held_out")] == ["things/fox/b.png"]
    assert len(atlas.select("all")) == 2


def test_joining_adds_pictures_of_known_nouns_only(tmp_path):
    first = folder_atlas(tmp_path / "one", [row("things/fox/a.png")])
    rows = [row("things/fox/b.png"), row("things/gnu/c.png", noun="gnu")]
    joined = first.joined(folder_atlas(tmp_path / "two", rows))
    assert [p.key for p in joined.pictures] == ["things/fox/a.png", "things/fox/b.png"]
    assert joined.pixels("things/fox/b.png").shape == (2, 3, 4)


def test_an_atlas_survives_pickling(tmp_path):
    atlas = folder_atlas(tmp_path, [row("things/fox/a.png")])
    before = atlas.pixels("things/fox/a.png")
    after = pickle.loads(pickle.dumps(atlas)).pixels("things/fox/a.png")
    assert np.array_equal(before, after)

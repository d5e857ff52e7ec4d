import numpy as np
import pytest
from PIL import Image

from sparrow.errors import SparrowError
from sparrow.world import atlas as building
from sparrow.world import packs
from sparrow.world.atlas import build_assets, build_atlas, main_colour, read_nouns
from sparrow.world.picture import SHIPPED, load_atlas


@pytest.fixture(scope="module")
def shipped():
    return load_atlas()


def test_the_shipped_atlas_is_large_enough_and_small_enough(shipped):
    assert len(shipped.nouns) >= 200
    assert SHIPPED.stat().st_size <= 4 * 2**20


def test_every_shipped_picture_decodes_and_is_a_cutout(shipped):
    for picture in shipped.pictures:
        pixels = shipped.pixels(picture.key)
        assert max(pixels.shape[:2]) <= building.SHIPPED_SIDE
        assert pixels[..., 3].max() > 200
        assert np.count_nonzero(pixels[..., 3] >= 128) >= 100, picture.key


def test_every_noun_can_be_trained_and_about_one_picture_in_eight_is_held_out(shipped):
    assert all(shipped.of_noun(noun, "train") for noun in shipped.nouns)
    assert 1 / 12 < len(shipped.select("held_out")) / len(shipped.pictures) < 1 / 6


def test_only_pictures_that_may_ship_are_shipped_with_their_licences(shipped):
    assert {picture.style for picture in shipped.pictures} == {"3d", "noto"}
    assert "MIT License" in (SHIPPED.parent / "LICENSE-fluent-emoji.txt").read_text()
    assert "SIL OPEN FONT LICENSE" in (SHIPPED.parent / "LICENSE-noto-emoji.txt").read_text()


def test_nouns_are_words_that_people_say(shipped):
    for picture in shipped.pictures:
        assert picture.noun.replace(" ", "").isalpha() and picture.noun.islower()
        assert picture.group.replace(" ", "").isalpha() and picture.group.islower()
    assert set(shipped.nouns) <= {noun.noun for noun in read_nouns()}


@pytest.mark.parametrize(
    ("rgb", "word"),
    [
        ((0, 0, 0), "black"),
        ((255, 255, 255), "white"),
        ((128, 128, 128), "gray"),
        ((220, 30, 30), "red"),
        ((245, 140, 20), "orange"),
        ((250, 220, 40), "yellow"),
        ((40, 160, 60), "green"),
        ((40, 90, 220), "blue"),
        ((130, 50, 190), "purple"),
        ((250, 150, 190), "pink"),
        ((120, 75, 40), "brown"),
    ],
)
def test_main_colour_of_a_plain_picture(rgb, word):
    assert main_colour(np.full((4, 4, 4), (*rgb, 255), np.uint8)) == word


def test_main_colour_counts_only_what_is_opaque():
    rgba = np.zeros((10, 10, 4), np.uint8)
    assert main_colour(rgba) == "gray"
    rgba[...] = (220, 30, 30, 0)
    rgba[0, 0] = (40, 160, 60, 255)
    assert main_colour(rgba) == "green"


def test_missing_packages_are_named_with_the_way_to_get_them(tmp_path):
    with pytest.raises(SparrowError, match=r"npm pack @lobehub/fluent-emoji-3d"):
        build_atlas(tmp_path, tmp_path / "atlas.zip")
    assert len(packs.report_missing(tmp_path)) == len(packs.PACKS)
    with pytest.raises(SparrowError, match="found no package"):
        build_assets(tmp_path, tmp_path / "assets")
    assert not (tmp_path / "atlas.zip").exists()


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"no package at all"])
def test_broken_packages_are_refused(tmp_path, content):
    package = tmp_path / "tuxpaint-stamps-default_1_all.deb"
    package.write_bytes(content)
    with pytest.raises(SparrowError, match="package"):
        build_assets(tmp_path, tmp_path / "assets")


def test_own_pictures_become_an_atlas(tmp_path):
    own = tmp_path / "own"
    (own / "things" / "fox").mkdir(parents=True)
    (own / "backgrounds").mkdir()
    for index in range(2):
        rgba = np.zeros((40, 60, 4), np.uint8)
        rgba[10:30, 10:50] = (230, 130, 20, 255)
        Image.fromarray(rgba).save(own / "things" / "fox" / f"mine{index}.png")
    stripes = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 80, 0).repeat(3, 2)
    Image.fromarray(stripes).save(own / "backgrounds" / "wall.jpg")
    assert build_assets(tmp_path, tmp_path / "assets", own) == 3
    assets = load_atlas(tmp_path / "assets")
    first = assets.of_noun("fox", "all")[0]
    assert (first.group, first.colour, first.style) == ("animal", "orange", "photo")
    assert assets.pixels(first.key).shape == (20, 40, 4)
    assert assets.background("backgrounds/own-wall.jpg").shape == (80, 120, 3)


def test_an_own_picture_without_alpha_is_refused(tmp_path):
    (tmp_path / "own" / "things" / "fox").mkdir(parents=True)
    solid = np.full((20, 20, 4), 255, np.uint8)
    Image.fromarray(solid).save(tmp_path / "own" / "things" / "fox" / "mine.png")
    with pytest.raises(SparrowError, match="cut-out with alpha"):
        build_assets(tmp_path, tmp_path / "assets", tmp_path / "own")

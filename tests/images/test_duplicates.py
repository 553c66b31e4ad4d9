"""Images that show the same, in groups: pictures made here, and a sample of real ones where they exist."""

import io
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from cytoyolo.images import duplicates
from cytoyolo.images.decoding import decode_gray, to_gray
from cytoyolo.images.duplicates import COLUMNS, MIN_CORRELATION, detail_correlation, find_duplicates
from cytoyolo.images.info import ImageInfo, pixel_digest, read_facts
from cytoyolo.images.samples import White
from cytoyolo.synthetic.smear import render_scene
from tests.pictures import photo, save

# Pillow's own turns; its rotations are counter-clockwise.
TURNS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned 180": Image.Transpose.ROTATE_180,
    "turned 90": Image.Transpose.ROTATE_270,
    "turned 270": Image.Transpose.ROTATE_90,
    "turned 90 and mirrored": Image.Transpose.TRANSPOSE,
    "turned 270 and mirrored": Image.Transpose.TRANSVERSE,
}


def scene(seed: int = 0) -> Image.Image:
    return photo(160, 120, seed)


def facts_of(folder: Path, files: dict[str, bytes], thorough: bool = True) -> list[ImageInfo]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [read_facts(folder / name, thorough=thorough) for name in files]


def links(found: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    return list(found[["image", "twin", "kind", "turn"]].itertuples(index=False, name=None))


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    return save(picture, "JPEG", quality=quality)


def decoded(data: bytes) -> bytes:
    """A PNG of the pixels that OpenCV reads from an image."""
    return cv2.imencode(".png", cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))[1].tobytes()


def one_colour(*rgb: int) -> Image.Image:
    return Image.new("RGB", (90, 80), rgb)


@pytest.fixture
def fingerprinted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose pixels are fingerprinted."""
    names: list[str] = []

    def counted(path: Path, white: White) -> str:
        names.append(path.name)
        return pixel_digest(path, white)

    monkeypatch.setattr(duplicates, "pixel_digest", counted)
    return names


def cell(seed: int, light: tuple[float, float] = (0, 0)) -> Image.Image:
    """A round cell on plain ground with its own texture, under a light that rises by `light` across and down."""
    rng = np.random.default_rng(seed)
    side = 200
    down, across = np.mgrid[:side, :side] / side
    texture = cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), 4)
    disc = 1 / (1 + np.exp((np.hypot(down - 0.5, across - 0.5) - 0.3) * 60))
    gray = 200 - disc * (90 + 25 * texture / texture.std()) + light[0] * across + light[1] * down
    gray += rng.normal(size=gray.shape)
    return Image.fromarray(np.clip(gray, 0, 255).astype(np.uint8)).convert("RGB")


def test_nothing_among_nothing() -> None:
    assert list(find_duplicates([]).columns) == list(COLUMNS)
    assert len(find_duplicates([])) == 0


def test_same_bytes_same_pixels_and_near_pictures_are_one_group(tmp_path: Path) -> None:
    other = jpeg(scene(1))
    found = find_duplicates(
        facts_of(
            tmp_path,
            {
                "a.png": save(scene(), "PNG"),
                "other.jpg": other,
                "b.bmp": save(scene(), "BMP"),
                "near.jpg": jpeg(scene()),
                "a2.png": save(scene(), "PNG"),
                "lone.jpg": jpeg(scene(2)),
                "other2.jpg": other,
                "near2.jpg": jpeg(scene()),
            },
        )
    )
    assert links(found) == [
        ("b.bmp", "a.png", "pixels", ""),
        ("near.jpg", "a.png", "near", ""),
        ("a2.png", "a.png", "bytes", ""),
        ("other2.jpg", "other.jpg", "bytes", ""),
        ("near2.jpg", "near.jpg", "bytes", ""),
    ]
    assert found["group"].tolist() == [0, 0, 0, 1, 0]
    exact = found["kind"] != "near"
    assert (found["distance"][exact] == 0).all()
    assert (found["correlation"][exact] == 1).all()
    assert found["correlation"][~exact].between(0.95, 1, inclusive="left").all()


both_levels = pytest.mark.parametrize("thorough", [False, True])


@both_levels
def test_the_same_pixels_are_told_by_the_facts_of_either_level(thorough: bool, tmp_path: Path) -> None:
    files = {
        "a.png": save(scene(), "PNG"),
        "b.bmp": save(scene(), "BMP"),
        "c.tif": save(scene(), "TIFF"),
        "d.webp": save(scene(), "WEBP", lossless=True),
    }
    found = find_duplicates(facts_of(tmp_path, files, thorough))
    assert links(found) == [(name, "a.png", "pixels", "") for name in list(files)[1:]]
    assert (found["distance"] == 0).all()
    assert (found["correlation"] == 1).all()


@both_levels
@pytest.mark.parametrize("quality", [40, 75, 95])
@pytest.mark.parametrize("first", ["jpeg", "png"])
def test_a_jpeg_and_a_png_of_its_pixels_are_the_same(first: str, quality: int, thorough: bool, tmp_path: Path) -> None:
    """Though the gray picture of the one is the luma that it holds, and that of the other is worked out."""
    files = {}
    for seed in range(4):
        # Strong colours, many of which the JPEG's decoder must cut off at 0 or 255.
        data = jpeg(scene(seed).point([255 * (level > 127) for level in range(256)] * 3), quality)
        assert (decode_gray(data)[0] != to_gray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))).any()
        pair = {f"{seed}.jpg": data, f"{seed}.png": decoded(data)}
        files |= pair if first == "jpeg" else dict(reversed(pair.items()))
    names, known = list(files), facts_of(tmp_path, files, thorough)
    assert len({one.hash for one in known}) > 4
    found = find_duplicates(known)
    assert links(found) == [(copy, name, "pixels", "") for name, copy in zip(names[::2], names[1::2], strict=True)]


@both_levels
def test_flat_pictures_of_the_same_pixels_in_other_bytes_are_the_same(thorough: bool, tmp_path: Path) -> None:
    known = facts_of(
        tmp_path,
        {
            "a.png": save(one_colour(120, 90, 100), "PNG"),
            "other.png": save(one_colour(120, 90, 101), "PNG"),
            "turned.png": save(one_colour(120, 90, 100).transpose(Image.Transpose.ROTATE_90), "PNG"),
            "c.jpg": jpeg(one_colour(40, 90, 200)),
            "b.bmp": save(one_colour(120, 90, 100), "BMP"),
            "d.png": decoded(jpeg(one_colour(40, 90, 200))),
        },
        thorough,
    )
    assert not any(any(found.hash) for found in known)
    assert links(find_duplicates(known)) == [("b.bmp", "a.png", "pixels", ""), ("d.png", "c.jpg", "pixels", "")]


def test_the_same_pixels_are_found_beside_a_picture_of_the_same_hash_and_another_size(tmp_path: Path) -> None:
    small = scene()
    large = small.resize((2 * small.width, 2 * small.height), Image.Resampling.NEAREST)
    files = {"large.png": save(large, "PNG"), "a.png": save(small, "PNG"), "b.bmp": save(small, "BMP")}
    assert ("b.bmp", "a.png", "pixels", "") in links(find_duplicates(facts_of(tmp_path, files)))


def test_the_same_pixels_do_not_depend_on_the_distance_allowed(tmp_path: Path) -> None:
    data = jpeg(scene())
    files = {"a.jpg": data, "b.png": save(Image.open(io.BytesIO(data)), "PNG")}
    assert links(find_duplicates(facts_of(tmp_path, files), distance=0)) == [("b.png", "a.jpg", "pixels", "")]


@both_levels
def test_the_same_pixels_upside_down_are_near(thorough: bool, tmp_path: Path) -> None:
    turn = scene().transpose(TURNS["upside down"])
    known = facts_of(tmp_path, {"a.png": save(scene(), "PNG"), "b.png": save(turn, "PNG")}, thorough)
    found = find_duplicates(known)
    assert links(found) == [("b.png", "a.png", "near", "upside down")]
    assert found["correlation"].tolist() == pytest.approx([1], abs=0.01)


@both_levels
def test_the_same_hash_does_not_make_the_same_pixels(thorough: bool, tmp_path: Path) -> None:
    changed = scene()
    changed.putpixel((80, 60), tuple(level ^ 1 for level in changed.getpixel((80, 60))))
    known = facts_of(tmp_path, {"a.png": save(scene(), "PNG"), "b.png": save(changed, "PNG")}, thorough)
    assert known[0].hash == known[1].hash
    assert links(find_duplicates(known)) == [("b.png", "a.png", "near", "")]


def test_files_that_are_lost_after_their_facts_were_read_are_linked_by_their_bytes_alone(tmp_path: Path) -> None:
    files = {
        "a.png": save(scene(), "PNG"),
        "b.bmp": save(scene(), "BMP"),
        "flat.png": save(one_colour(9, 9, 9), "PNG"),
        "flat.bmp": save(one_colour(9, 9, 9), "BMP"),
        "a2.png": save(scene(), "PNG"),
    }
    known = facts_of(tmp_path, files)
    (tmp_path / "b.bmp").unlink()
    (tmp_path / "flat.png").unlink()
    assert links(find_duplicates(known, correlation=0)) == [("a2.png", "a.png", "bytes", "")]
    for name in ("a.png", "flat.bmp", "a2.png"):
        (tmp_path / name).unlink()
    assert links(find_duplicates(known, correlation=0)) == [("a2.png", "a.png", "bytes", "")]


def test_pixels_are_fingerprinted_only_where_they_may_be_the_same(tmp_path: Path, fingerprinted: list[str]) -> None:
    files = {
        "lone.png": save(scene(1), "PNG"),
        "a.png": save(scene(), "PNG"),
        "larger.png": save(scene().resize((320, 240), Image.Resampling.NEAREST), "PNG"),
        "turned.png": save(scene().transpose(TURNS["turned 180"]), "PNG"),
        "b.bmp": save(scene(), "BMP"),
        "flat.png": save(one_colour(7, 7, 7), "PNG"),
        "lone2.jpg": jpeg(scene(2)),
        "lone3.jpg": jpeg(scene(2)),
    }
    find_duplicates(facts_of(tmp_path, files))
    assert sorted(fingerprinted) == ["a.png", "b.bmp", "turned.png"]


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_picture_is_found_and_its_turn_named(tmp_path: Path, turn: str) -> None:
    files = {"a.jpg": jpeg(scene()), "b.jpg": jpeg(scene(1)), "turned.jpg": jpeg(scene().transpose(TURNS[turn]))}
    assert links(find_duplicates(facts_of(tmp_path, files))) == [("turned.jpg", "a.jpg", "near", turn)]


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: picture.resize((300, 225), Image.Resampling.BICUBIC),
        lambda picture: picture.resize((100, 75), Image.Resampling.BICUBIC),
        lambda picture: picture.crop((2, 3, 157, 119)),
        lambda picture: picture.point([min(255, int(level * 1.3 + 10)) for level in range(256)] * 3),
        lambda picture: picture.point([int(level * 0.7) for level in range(256)] * 3),
        ImageOps.grayscale,
    ],
    ids=["larger", "smaller", "cropped", "brighter", "darker", "gray"],
)
def test_a_changed_picture_is_found(tmp_path: Path, change: object) -> None:
    assert callable(change)
    files = {"a.jpg": jpeg(scene()), "b.jpg": jpeg(change(scene()), 60), "c.jpg": jpeg(scene(1))}
    assert links(find_duplicates(facts_of(tmp_path, files))) == [("b.jpg", "a.jpg", "near", "")]


def test_an_upright_picture_and_its_turned_file_are_the_same(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    stored = scene().transpose(Image.Transpose.ROTATE_90)
    files = {"a.png": save(scene(), "PNG"), "b.png": save(stored, "PNG", exif=exif)}
    assert links(find_duplicates(facts_of(tmp_path, files))) == [("b.png", "a.png", "pixels", "")]


def test_one_cell_under_another_light_is_the_same_and_another_cell_is_not() -> None:
    plain, shaded, other = (small(cell(seed, light)) for seed, light in ((1, (0, 0)), (1, (50, -60)), (2, (0, 0))))
    assert np.corrcoef(plain.ravel(), shaded.ravel())[0, 1] < np.corrcoef(plain.ravel(), other.ravel())[0, 1]
    assert detail_correlation(plain, shaded) > 0.95
    assert detail_correlation(plain, other) < MIN_CORRELATION - 0.1


def small(picture: Image.Image) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    return np.asarray(picture.convert("L").resize((96, 96), Image.Resampling.BOX))


def test_a_shifted_view_is_aligned() -> None:
    large = photo(120, 120, 3).convert("L")
    here, there = (np.asarray(large.crop((at, at, at + 96, at + 96))) for at in (0, 2))
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] < 0.7
    assert detail_correlation(here, there) > 0.98


@pytest.mark.parametrize("shift", [(0.03, 0.02), (-0.1, 0.06), (0.08, -0.1)])
@pytest.mark.parametrize("turn", [None, Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT])
def test_a_cell_cut_twice_is_found(shift: tuple[float, float], turn: Image.Transpose | None, tmp_path: Path) -> None:
    cell = Image.fromarray(render_scene(1, 3).image[..., ::-1])
    side = min(cell.size)
    field = cell.crop((0, 0, side, side)).resize((400, 400))
    first = field.crop((30, 30, 370, 370))
    left, top = (30 + round(340 * share) for share in shift)
    field = ImageOps.expand(field, 40, (230, 220, 225))
    second = field.crop((left + 40, top + 40, left + 380, top + 380))
    second = second if turn is None else second.transpose(turn)
    files = {"a.jpg": jpeg(first), "b.jpg": jpeg(second, 80), "c.jpg": jpeg(scene(5))}
    found = find_duplicates(facts_of(tmp_path, files, thorough=False))
    assert found[["image", "twin", "kind"]].to_numpy().tolist() == [["b.jpg", "a.jpg", "near"]]


def test_pictures_without_detail_have_no_correlation() -> None:
    flat, ramp = np.full((96, 96), 90, np.uint8), np.tile(np.arange(96, dtype=np.uint8), (96, 1))
    assert detail_correlation(flat, flat) == 0
    assert detail_correlation(flat, small(scene())) == 0
    assert detail_correlation(small(scene()), flat) == 0
    assert abs(detail_correlation(ramp, ramp)) <= 1


def test_flat_pictures_are_the_same_only_by_their_pixels(tmp_path: Path) -> None:
    flat = {level: one_colour(level, level, level) for level in range(100, 140)}
    files = {f"{level}.jpg": jpeg(picture) for level, picture in flat.items()}
    assert links(find_duplicates(facts_of(tmp_path, files | {"again.jpg": files["120.jpg"]}))) == [
        ("again.jpg", "120.jpg", "bytes", "")
    ]


def test_damaged_files_are_passed_over_and_lost_ones_not_confirmed(tmp_path: Path) -> None:
    data = jpeg(scene())
    known = facts_of(
        tmp_path, {"cut.jpg": data[: len(data) // 2], "a.jpg": data, "cut2.jpg": data[:400], "b.jpg": jpeg(scene(), 70)}
    )
    assert [found.problem != "" for found in known] == [True, False, True, False]
    assert links(find_duplicates(known)) == [("b.jpg", "a.jpg", "near", "")]
    (tmp_path / "a.jpg").unlink()
    assert len(find_duplicates(known, correlation=0)) == 0


def test_thresholds_are_those_given(tmp_path: Path) -> None:
    known = facts_of(tmp_path, {"a.jpg": jpeg(scene()), "b.jpg": jpeg(scene().resize((100, 75)), 40)})
    found = find_duplicates(known)
    bits, value = int(found["distance"][0]), float(found["correlation"][0])
    assert bits > 0
    assert len(find_duplicates(known, distance=bits, correlation=value)) == 1
    assert len(find_duplicates(known, distance=bits - 1)) == 0
    assert len(find_duplicates(known, correlation=np.nextafter(value, 2))) == 0


def test_connected_pairs_are_not_compared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = facts_of(tmp_path, {f"{quality}.jpg": jpeg(scene(), quality) for quality in range(60, 96, 3)})
    compared: list[float] = []

    def counted(first: duplicates.Gray, second: duplicates.Gray, shift: tuple[float, float]) -> float:
        compared.append(detail_correlation(first, second, shift))
        return compared[-1]

    monkeypatch.setattr(duplicates, "detail_correlation", counted)
    monkeypatch.setattr(duplicates, "_BATCH", 1)
    found = find_duplicates(known)
    assert len(found) == len(compared) == len(known) - 1
    assert set(found["group"]) == {0}


def test_real_pictures_are_found_again_and_no_others(tmp_path: Path, shared: Path) -> None:
    rng = np.random.default_rng(8)
    known = []
    for folder in (shared / "wbc5" / "images", shared / "pbc3" / "images"):
        paths = sorted(folder.iterdir())
        known += [paths[at] for at in sorted(rng.choice(len(paths), 40, replace=False))]
    files = {}
    for number, path in enumerate(known):
        with Image.open(path) as image:
            turn = list(TURNS)[number % len(TURNS)]
            changed = image.convert("RGB").crop((1, 2, image.width - 2, image.height - 1)).transpose(TURNS[turn])
            changed = changed.resize((round(changed.width * 0.9), round(changed.height * 0.9)))
        files[f"{path.stem}@{turn.replace(' ', '-')}.jpg"] = jpeg(changed, 75)
    found = find_duplicates([*map(read_facts, known), *facts_of(tmp_path, files, thorough=False)])
    group = dict(zip([*found["image"], *found["twin"]], [*found["group"]] * 2, strict=True))
    again = [name for path, name in zip(known, files, strict=True) if group.get(name, -1) == group.get(path.name, -2)]
    assert len(again) >= 0.98 * len(files)
    own = found[
        [image.split("@")[0] == Path(twin).stem for image, twin in zip(found["image"], found["twin"], strict=True)]
    ]
    named = [
        turn.replace(" ", "-") == name.split("@")[1][:-4] for turn, name in zip(own["turn"], own["image"], strict=True)
    ]
    assert np.mean(named) > 0.95
    assert max(Counter(found["group"]).values()) <= 3


def test_a_file_that_differs_by_a_comment_has_the_same_pixels(tmp_path: Path) -> None:
    plain = jpeg(scene())
    files = {"a.jpg": plain, "b.jpg": plain[:2] + b"\xff\xfe\x00\x06seen" + plain[2:]}
    assert links(find_duplicates(facts_of(tmp_path, files))) == [("b.jpg", "a.jpg", "pixels", "")]

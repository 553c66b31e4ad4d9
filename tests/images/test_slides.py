"""Whole slides: which files are slides, their levels and resolution, and the pixels of a region in every form."""

import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from cytoyolo.images.info import decode
from cytoyolo.images.samples import White
from cytoyolo.images.slide_form import Thumbnail, Unreadable, thumbnail
from cytoyolo.images.slides import is_slide, open_slide
from cytoyolo.images.tissue import tissue_mask
from cytoyolo.images.unusable import Unsupported, Unusable
from tests.slides import halved, smear, write_pyramid

openslide = pytest.importorskip("openslide")
FORMS = {
    "a.tif": {},
    "big.tif": {"bigtiff": True},
    "a.ome.tif": {"kind": "ome"},
    "a.svs": {"kind": "svs"},
    "lossless.tif": {"compression": "zlib", "compressionargs": None, "predictor": True},
}
CORNERS = ((0, 0), (1000, 600), (-100, -50), (4400, 1900))


@pytest.fixture(scope="module")
def picture():
    return smear(4500, 2000)


@pytest.fixture(scope="module")
def slides(picture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    return {name: write_pyramid(folder / name, picture, **form) for name, form in FORMS.items()}


def near(first, second) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.mark.parametrize("name", FORMS)
def test_a_slide_knows_its_levels_and_its_resolution(slides, name):
    assert is_slide(slides[name])
    with open_slide(slides[name]) as slide:
        sizes = [(one.width, one.height, one.downsample) for one in slide.levels]
        assert sizes == [(4500, 2000, 1), (2250, 1000, 2), (1125, 500, 4)]
        assert slide.um_per_px == pytest.approx(0.25) and not slide.is_gray and not slide.remark


@pytest.mark.parametrize("name", FORMS)
def test_a_region_has_the_pixels_that_were_stored(slides, picture, name):
    with open_slide(slides[name]) as slide:
        assert near(slide.read(1400, 600, 300, 200)[..., ::-1], picture[600:800, 1400:1700]) < 4
        assert near(slide.read(1400, 600, 150, 100, 1)[..., ::-1], halved(picture)[300:400, 700:850]) < 4


@pytest.mark.parametrize("name", ["a.tif", "big.tif", "lossless.tif"])
def test_openslide_and_tifffile_give_the_same_pixels(slides, name):
    with open_slide(slides[name]) as slide, openslide.OpenSlide(slides[name]) as other:
        for level in range(3):
            for x, y in CORNERS:
                wanted = np.asarray(other.read_region((x, y), level, (260, 240)))
                given = slide.read(x, y, 260, 240, level)[..., ::-1]
                scanned = wanted[..., 3] == 255
                np.testing.assert_array_equal(given[scanned], wanted[scanned][:, :3])
                assert (given[~scanned] == 255).all()  # outside of the slide


def test_tifffile_reads_the_tiles_of_a_scanner_like_openslide(slides, picture, tmp_path):
    """Without the description of its scanner the same file is a plain pyramid."""
    plain = write_pyramid(tmp_path / "plain.tif", picture)
    with open_slide(slides["a.svs"]) as slide, open_slide(plain) as other:
        assert type(slide).__name__ == "VendorSlide" and type(other).__name__ == "TiffSlide"
        np.testing.assert_array_equal(slide.read(1500, 700, 500, 500), other.read(1500, 700, 500, 500))


def test_threads_read_the_same_pixels(slides):
    for name in ("a.tif", "a.svs"):
        with open_slide(slides[name]) as slide:
            corners = [(x, y) for x in range(0, 4500, 500) for y in range(0, 2000, 500)]
            wanted = [slide.read(x, y, 300, 300) for x, y in corners]
            with ThreadPoolExecutor(8) as pool:
                given = list(pool.map(lambda at: slide.read(*at, 300, 300), corners))
            assert all((one == other).all() for one, other in zip(wanted, given, strict=True))


def test_a_photo_stays_an_image(tmp_path, picture):
    tifffile.imwrite(tmp_path / "photo.tif", picture, photometric="rgb")
    tifffile.imwrite(tmp_path / "tiles.tif", picture, photometric="rgb", tile=(256, 256))
    write_pyramid(tmp_path / "small.tif", picture[:1000, :1000])
    (tmp_path / "jpeg.svs").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    names = ("photo.tif", "tiles.tif", "small.tif", "jpeg.svs", "broken.tif", "missing.tif", "a.png")
    assert not [name for name in names if is_slide(tmp_path / name)]


@pytest.mark.parametrize("kind", ["tiff", "ome"])
def test_a_macro_picture_that_comes_first_is_not_the_slide(tmp_path, picture, kind):
    macro = np.zeros((500, 1000, 3), np.uint8)
    path = write_pyramid(tmp_path / f"a.{kind}.tif", picture, kind=kind, macro=macro)
    assert is_slide(path)
    with open_slide(path) as slide:
        assert slide.size == (4500, 2000) and len(slide.levels) == 3
        assert near(slide.read(1400, 600, 300, 200)[..., ::-1], picture[600:800, 1400:1700]) < 4
    small = write_pyramid(tmp_path / "small.tif", picture[600:1600, 1400:2400], kind=kind, macro=macro[:200, :200])
    assert not is_slide(small)
    shown, problem = decode(small)
    assert not problem and near(shown[..., ::-1], picture[600:1600, 1400:2400]) < 4


def test_an_image_of_too_many_pixels_is_a_slide(tmp_path, picture, monkeypatch):
    tifffile.imwrite(tmp_path / "photo.tif", picture, photometric="rgb", rowsperstrip=64)
    monkeypatch.setenv("CYTOYOLO_MAX_PIXELS", "1000000")
    assert is_slide(tmp_path / "photo.tif")
    with open_slide(tmp_path / "photo.tif") as slide:
        assert len(slide.levels) == 1 and slide.um_per_px == 0
        np.testing.assert_array_equal(slide.read(1200, 500, 100, 300)[..., ::-1], picture[500:800, 1200:1300])


def test_no_resolution_and_dots_per_inch_are_unknown(tmp_path, picture):
    write_pyramid(tmp_path / "none.svs", picture, um=0, kind="svs")
    write_pyramid(tmp_path / "none.tif", picture, um=0)
    write_pyramid(tmp_path / "print.tif", picture, um=0, resolution=(72, 72), resolutionunit="INCH")
    for name in ("none.svs", "none.tif", "print.tif"):
        with open_slide(tmp_path / name) as slide:
            assert slide.um_per_px == 0


@pytest.mark.parametrize(("white", "expected"), [(White(), 4095), (White(integer=4095), 4095), (White(65_535), 65_535)])
def test_16_bits_are_shown_in_the_range_of_the_weights_or_in_their_own(tmp_path, white, expected):
    deep = smear(4500, 300, dtype=np.uint16)
    path = write_pyramid(tmp_path / "deep.tif", deep, 2)
    with open_slide(path, white) as slide:
        shift = expected.bit_length() - 8
        np.testing.assert_array_equal(slide.read(1500, 10, 200, 200)[..., ::-1], deep[10:210, 1500:1700] >> shift)
        assert slide.read(-10, 0, 5, 5).min() == 255
        assert bool(slide.remark) == (not white.integer)


def test_gray_slides_and_planes_of_their_own(tmp_path):
    gray = smear(4500, 300)[..., 0]
    with open_slide(write_pyramid(tmp_path / "gray.tif", gray, 2)) as slide:
        assert slide.is_gray and near(slide.read(1500, 0, 100, 100)[..., 1], gray[:100, 1500:1600]) < 4
    colours = smear(4500, 300)
    path = tmp_path / "planes.tif"
    options = {"photometric": "rgb", "planarconfig": "separate", "tile": (128, 128)}
    with tifffile.TiffWriter(path) as file:
        file.write(np.moveaxis(colours, 2, 0), **options)
        file.write(np.moveaxis(halved(colours), 2, 0), **options, subfiletype=1)
    with open_slide(path) as slide:
        assert len(slide.levels) == 2
        np.testing.assert_array_equal(slide.read(1450, 50, 300, 200)[..., ::-1], colours[50:250, 1450:1750])


@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
def test_transparent_pixels_are_laid_on_white(tmp_path, kind):
    colours = np.zeros((512, 4500, 4), np.uint8)
    colours[:256, :, 0], colours[:256, :, 3] = 100, 128
    options = {"photometric": "rgb", "extrasamples": [kind], "tile": (256, 256)}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(colours, **options)
        file.write(np.ascontiguousarray(colours[::2, ::2]), **options, subfiletype=1)
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.read(0, 300, 9, 9).min() == 255
        red = 227 if kind == "assocalpha" else 177
        assert slide.read(0, 0, 9, 9)[0, 0].tolist() == [127, 127, red]


def with_offset(path, index: int, offset: int) -> None:
    """Let a tile of the first level lie elsewhere in the file."""
    with tifffile.TiffFile(path) as file:
        tag, order = file.pages[0].tags[324], file.byteorder
        data = bytearray(path.read_bytes())
    size, code = (8, "Q") if tag.dtype == 16 else (4, "I")
    data[tag.valueoffset + size * index :][:size] = b""
    data[tag.valueoffset + size * index : tag.valueoffset + size * index + size] = struct.pack(order + code, offset)
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["tiff", "svs"])
def test_one_bad_tile_leaves_the_others_readable(tmp_path, picture, kind):
    path = write_pyramid(tmp_path / f"a.{'svs' if kind == 'svs' else 'tif'}", picture, kind=kind)
    with open_slide(path) as slide:
        wanted = slide.read(1600, 600, 100, 100)
    with_offset(path, 3, 20)  # the tile at 768, 0
    with open_slide(path) as slide:
        for _ in range(2):
            with pytest.raises(Unreadable):
                slide.read(700, 0, 300, 200)
            np.testing.assert_array_equal(slide.read(1600, 600, 100, 100), wanted)


def test_a_tile_that_the_file_leaves_out_is_background(tmp_path, picture):
    path = write_pyramid(tmp_path / "a.tif", picture)
    with_offset(path, 8, 0)
    with open_slide(path) as slide:
        assert slide.read(2048, 0, 256, 256).min() == 255


@pytest.mark.parametrize("name", ["a.tif", "a.svs"])
def test_a_truncated_slide_is_unusable_or_unreadable(slides, tmp_path, name):
    data = slides[name].read_bytes()
    for share in (0.01, 0.5, 0.7):
        path = tmp_path / name
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(Unusable), open_slide(path) as slide:
            slide.read(0, 0, 4500, 2000)


def test_a_slide_that_lacks_its_smaller_sizes_says_so(slides, tmp_path):
    data = slides["a.tif"].read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: int(len(data) * 0.9)])
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.remark == "the file is truncated; sizes of the picture that can be used: 2"


def write_scans(path, *scans, **told):
    """Write an OME-TIFF with several pictures, each a pyramid of two sizes."""
    form = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg"}
    with tifffile.TiffWriter(path, ome=True) as file:
        for scan in scans:
            file.write(scan, **form, subifds=1, metadata=told)
            file.write(scan[..., ::2, ::2, :], **form, subfiletype=1, metadata=None)
    return path


def test_focus_planes_and_scans_that_are_not_searched_are_named(tmp_path):
    first, other, macro = smear(4400, 256), smear(4600, 256, 1), smear(256, 256, 2)
    with open_slide(write_scans(tmp_path / "one.ome.tif", first, macro)) as slide:
        assert slide.remark == "" and slide.size == (4400, 256)
    with open_slide(write_scans(tmp_path / "two.ome.tif", macro, first, first)) as slide:
        assert slide.remark == "only picture 1 of 2 is searched"
    with open_slide(write_scans(tmp_path / "larger.ome.tif", first, other, macro)) as slide:
        assert slide.remark == "only picture 2 of 2 is searched" and slide.size == (4600, 256)
    with open_slide(write_scans(tmp_path / "z.ome.tif", np.stack([first] * 3), axes="ZYXS")) as slide:
        assert slide.remark == "only plane 1 of 3 is searched"
    planes = write_scans(tmp_path / "both.ome.tif", np.stack([first] * 3), np.stack([first] * 3), axes="ZYXS")
    with open_slide(planes) as slide:
        assert slide.remark == "only plane 1 of 3 of picture 1 of 2 is searched"


def test_what_is_no_slide_gets_a_reason(tmp_path):
    for name, data in (("a.svs", b""), ("b.svs", b"not a slide"), ("c.mrxs", b"II*\0"), ("d.tif", b"II*\0")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Unusable):
            open_slide(tmp_path / name)
    with pytest.raises(Unusable, match="is missing"):
        open_slide(tmp_path / "missing.svs")


def test_forms_that_are_not_read_say_what_to_do(tmp_path):
    real = np.zeros((300, 4500, 3), np.float32)
    write_pyramid(tmp_path / "real.tif", real, 2)
    with pytest.raises(Unsupported, match="is a slide of float32 samples"):
        open_slide(tmp_path / "real.tif")
    tifffile.imwrite(tmp_path / "c.ome.tif", np.zeros((5, 300, 4500), np.uint8), metadata={"axes": "CYX"})
    with pytest.raises(Unsupported, match="is a slide of 5 channels"):
        open_slide(tmp_path / "c.ome.tif")


def test_without_openslide_one_sentence_says_what_to_install(slides, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(Unsupported, match=r"pip install 'cytoyolo\[slides\]'"):
        open_slide(slides["a.svs"])
    with open_slide(slides["a.tif"]) as slide:
        assert slide.size == (4500, 2000)


def test_a_thumbnail_shows_the_slide_and_the_tissue_is_found(slides, picture):
    with open_slide(slides["a.tif"]) as slide:
        small = thumbnail(slide, 500)
    assert small.picture.shape == (167, 375, 3) and small.downsample == 12 and not small.unread.any()
    wanted = picture[6::12, 6::12][: small.picture.shape[0], :, ::-1]
    assert near(small.picture[:166, 130:240], wanted[:166, 130:240]) < 25
    mask = tissue_mask(small)
    assert mask[:, 127:248].all() and not mask[:, :120].any() and not mask[:, 255:].any()


def test_glass_has_no_tissue_and_a_film_is_tissue_everywhere():
    random = np.random.default_rng(0)

    def mask(colour):
        noise = random.integers(-2, 3, (100, 100, 3))
        return tissue_mask(Thumbnail((np.array(colour) + noise).astype(np.uint8), np.zeros((100, 100), bool), 1))

    assert not mask((240, 240, 240)).any()
    assert mask((200, 190, 225)).all()


def test_a_part_of_the_thumbnail_that_is_unreadable_counts_as_tissue(tmp_path):
    path = write_pyramid(tmp_path / "a.tif", np.full((1000, 4500, 3), 240, np.uint8), 1)
    with_offset(path, 20, 20)
    with open_slide(path) as slide:
        small = thumbnail(slide, 1000)
        assert small.unread.any() and not small.unread.all() and (tissue_mask(small) >= small.unread).all()

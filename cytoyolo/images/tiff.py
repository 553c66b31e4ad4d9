"""Read the picture of a TIFF file as its tags describe it: the samples, and how they are shown.

A TIFF file may have several pages, channels, planes or sizes; `taken` says which of them is read. tifffile finds the
pages and decodes them with imagecodecs. Both are imported only when a TIFF file is read.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from cytoyolo.images import complaints, tiff_jpeg, tiff_ome
from cytoyolo.images.samples import Samples
from cytoyolo.images.unusable import Unsupported, Unusable

_ORIENTATION, _INK_SET, _COLOUR_MAP = 274, 332, 320
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
# Colour interpretations that are not read here.
_OTHERS = {
    4: "a mask of another picture",
    10: "of ITU Lab colours",
    32803: "a camera's raw data (a colour filter array)",
    32844: "of logarithmic light (LogL)",
    32845: "of logarithmic light (LogLuv)",
    34892: "a camera's raw data (linear)",
    51177: "a map of depths",
}
_REMEDY = "save it as PNG"
_NO_COMPRESSION, _HORIZONTAL = 1, 2
# Compressions by JPEG, whose decoder turns YCbCr into RGB; and JPEG 2000 in YCbCr, whose data don't say that.
JPEGS, _JPEG_2000_YCBCR = (6, 7, 33007, 34892), 33003
ASSOCIATED, UNASSOCIATED = 1, 2
_UNSIGNED, _SIGNED, _REAL, _UNDEFINED = 1, 2, 3, 4
# The colours that ImageJ gives to channels without a colour.
_COLOURS = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "cyan": (0, 255, 255),
    "magenta": (255, 0, 255), "yellow": (255, 255, 0),
}  # fmt: skip
_SIGNED_OFFSET = -32768
_MOST_SAMPLES = 16
# Limits against files that keep a reader busy: the reader reads the tags of all pages, and unpacks a whole tile even if
# its picture is small.
MAX_PAGES, _LARGE_TILE = 10_000, 4096**2
# Tags that are needed to read a picture, and the message of tifffile for a tag that it can't read and leaves out.
_NEEDED = frozenset((*range(256, 260), 262, 266, 273, *range(277, 280), 284, 317, 320, *range(322, 326), 338, 339, 347))
_LOST_TAG = re.compile(r"TiffTag (\d+) @\d+> invalid value offset")
_AXES = {"Z": "plane", "T": "time point", "I": "page", "Q": "plane", "C": "channel"}
# A pyramid of tiles is a further scan from this number of pixels on, or from this share of the scan that is read. If it
# is smaller, it is a label or a macro picture.
_SCAN, _SCAN_SHARE = 4096**2, 1 / 16


class TiffHeader(NamedTuple):
    """What the tags say. Width and height belong to the stored picture, `size` is the size of the samples in
    bytes."""

    width: int
    height: int
    mode: str
    orientation: int
    taken: str
    size: int


@dataclass(frozen=True)
class Raster:
    """The samples of a picture, and how they are shown.

    Attributes
    ----------
    samples : array (h, w) or (h, w, n)
        Gray, RGB (n = 3), or channels that are joined by `colours`.
    bits : int
        The depth that the file states. 0 if the file states 16 bits or more, or has real numbers; then the whole set
        decides which value is white.
    inverted : bool
        Whether 0 is white.
    colours : array (n, 256, 3), optional
        The colour table of each channel.
    """

    samples: Samples
    bits: int = 8
    inverted: bool = False
    colours: NDArray[np.uint8] | None = None


class Chosen(NamedTuple):
    """The pages of the picture that is read: their series, their positions in it, and how they are joined.

    `taken` says which part of the file this is. `searched` says the same, "" if only smaller sizes of a slide, its
    macro picture or its label are left out.
    """

    series: Any
    page: Any
    places: list[int]
    colours: NDArray[np.uint8] | None
    bits: int
    offset: int
    taken: str
    searched: str


def read_header(data: bytes) -> TiffHeader:
    """Read the tags of a TIFF file. Raises Unusable for a file that can't be used."""
    with _opened(data) as chosen:
        page = chosen.page
        orientation = page.tags.valueof(_ORIENTATION)
        orientation = int(orientation) if orientation in range(2, 9) else 1
        size = len(chosen.places) * page.imagewidth * page.imagelength * page.samplesperpixel * page.dtype.itemsize
        return TiffHeader(page.imagewidth, page.imagelength, _mode(chosen), orientation, chosen.taken, size)


def read_raster(data: bytes) -> Raster:
    """Read the samples of a TIFF file as they are stored. Raises Unusable for a file that can't be used."""
    with _opened(data) as chosen:
        planes = [_plane(data, chosen, place) for place in chosen.places]
        if len(planes) == 1:
            return _raster(data, chosen, planes[0])
        joined = np.stack([plane[..., 0] for plane in planes], axis=-1)
        return Raster(_moved(joined, chosen.offset), chosen.bits, _is_inverted(chosen.page), chosen.colours)


@contextmanager
def _opened(data: bytes) -> Iterator[Chosen]:
    """Open a file and choose its picture. Every error of the libraries becomes Unusable."""
    import tifffile

    try:
        with complaints.listening() as lines, tifffile.TiffFile(io.BytesIO(data), _multifile=False) as file:
            if not len(file.pages):
                raise Unusable("is a damaged TIFF file")
            if len(file.pages) > MAX_PAGES:
                raise Unsupported(
                    f"has {len(file.pages):,} pages, more than {MAX_PAGES:,}; save the page to look at by itself"
                )
            chosen = choose(file)
            if any(int(tag) in _NEEDED for line in lines for tag in _LOST_TAG.findall(line)):
                raise Unusable("is a damaged TIFF file")
            refuse(chosen.page)
            yield chosen
    except Unusable:
        raise
    except MemoryError as error:
        raise Unsupported("needs more memory than there is") from error
    except Exception as error:  # the libraries raise a dozen types of errors for damaged files
        raise Unusable("is a damaged TIFF file") from error


def pictures(file: Any) -> tuple[list[Any], int]:
    """Return the pictures (series) of a file, and the index of the one that is read.

    It is the first picture, or the largest pyramid of tiles if that is larger: some programs write the label, the macro
    picture or a thumbnail of a slide before its scan.
    """
    several = [part for part in file.series if not (part.keyframe.is_reduced or part.keyframe.is_mask)] or file.series
    return several, max([0, *_pyramids(several)], key=lambda at: area_of(several[at]))


def _pyramids(several: Sequence[Any]) -> list[int]:
    """Return the indices of the pictures that are stored as tiles in several sizes."""
    return [at for at, part in enumerate(several) if part.keyframe.is_tiled and len(part.levels) > 1]


def area_of(series: Any) -> int:
    """Return the number of pixels of a picture (a series)."""
    return int(series.keyframe.imagewidth * series.keyframe.imagelength)


def choose(file: Any) -> Chosen:
    """Choose the picture (see `pictures`): the largest size of a pyramid, the first page of a stack, all channels of a
    composite."""
    several, number = pictures(file)
    series = several[number].levels[0]
    page = next(page for page in [series[0], *series._pages] if page is not None).keyframe
    axes, shape = _outer_axes(series, page)
    said = [f"{_AXES.get(axis, 'plane')} 1 of {size}" for axis, size in zip(axes, shape, strict=True)
            if size > 1 and axis != "C"]  # fmt: skip
    searched = [*said, *_among_scans(several, number)]
    if len(series.levels) > 1:
        said.append(f"the largest of {len(series.levels)} sizes")
    if len(several) > 1:
        said.append(f"picture {number + 1} of {len(several)}")
    channels = dict(zip(axes, shape, strict=True)).get("C", 1)
    bits, colours, offset = _told(file, page)
    places, luts = [0], None
    if channels > 1 and page.samplesperpixel == 1:
        luts = _luts(channels, colours)
        of_channel = [[at if axis == "C" else 0 for axis in axes] for at in range(channels)]
        places = [int(np.ravel_multi_index(place, shape)) for place in of_channel]
        said.insert(0, _joined(luts))
    elif channels > 1:
        said.insert(0, f"channel 1 of {channels}")
        searched.insert(0, f"channel 1 of {channels}")
    elif page.samplesperpixel == 1 and colours.get(0) is not None:
        luts = _luts(1, colours)
    elif (samples := _bare_channels(page)) > 1:
        luts = _luts(samples, colours)
        said.insert(0, _joined(luts))
    elif left_out := sum(kind not in (ASSOCIATED, UNASSOCIATED) for kind in extra_samples(page)):
        said.append(f"without {left_out} extra channel{'s' if left_out > 1 else ''}")
    return Chosen(series, page, places, luts, bits, offset, "; ".join(said), " of ".join(searched))


def _among_scans(several: Sequence[Any], number: int) -> list[str]:
    """Return a list that says which of the scans of a slide is read, an empty one if there is only this scan."""
    least = min(_SCAN, _SCAN_SHARE * area_of(several[number]))
    scans = [at for at in sorted({number, *_pyramids(several)}) if at == number or area_of(several[at]) >= least]
    return [f"picture {scans.index(number) + 1} of {len(scans)}"] if len(scans) > 1 else []


def _outer_axes(series: Any, page: Any) -> tuple[str, tuple[int, ...]]:
    """Return the axes along which the pages of a series lie, and their sizes."""
    axes, shape = series.get_axes(False), series.get_shape(False)
    size, outer = int(np.prod(page.shape)), 0
    while outer < len(shape) and int(np.prod(shape[outer:])) > size:
        outer += 1
    return axes[:outer], tuple(shape[:outer])


def _told(file: Any, page: Any) -> tuple[int, dict[int, Any], int]:
    """Return what the file says of its samples: the bits in use (0: not stated), the colour of each channel, and the
    number that must be added to each sample."""
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8 * page.dtype.itemsize
    if bits >= 16 or page.sampleformat == _REAL:
        bits = 0
    colours: dict[int, Any] = {}
    if (pixels := tiff_ome.pixels_of(file, page)) is not None:
        used = pixels.get("SignificantBits", "").strip()
        if used.isdecimal() and 8 <= int(used) < 16 and not bits:
            bits = int(used)
        for at, channel in enumerate(tiff_ome.channels_of(pixels)):
            if re.fullmatch(r"-?\d+", colour := channel.get("Color", "").strip()):
                red, green, blue, _ = (int(colour) & 0xFFFFFFFF).to_bytes(4, "big")
                colours[at] = (red, green, blue)
        if set(colours.values()) <= {(255, 255, 255)}:
            colours = {}
    if not file.is_imagej:
        return bits, colours, 0
    told = file.imagej_metadata or {}
    if told.get("mode") != "grayscale" and page.photometric != _PALETTE:
        luts = [np.asarray(lut, np.uint8) for lut in told.get("LUTs") or ()]
        colours = {at: lut.T for at, lut in enumerate(luts) if lut.shape == (3, 256)}
    # ImageJ stores signed 16-bit samples with this offset.
    return bits, colours, _SIGNED_OFFSET if (told.get("c0"), told.get("c1")) == (_SIGNED_OFFSET, 1) else 0


def _luts(channels: int, colours: Mapping[int, Any]) -> NDArray[np.uint8]:
    """Return the colour table (n, 256, 3) of each channel: from the file, or else as ImageJ shows it.

    Raises Unsupported if there are too many channels.
    """
    if channels > len(_COLOURS):
        raise Unsupported(f"has {channels} channels; save the channels to look at as a colour picture")
    ramp = np.arange(256)[:, None]
    defaults = list(_COLOURS.values()) if not colours else [_COLOURS["white"]] * channels
    luts = []
    for at in range(channels):
        own = np.asarray(colours.get(at, defaults[at]))
        luts.append(own if own.ndim == 2 else np.rint(ramp * (own[None] / 255)))
    return np.asarray(luts, np.uint8)


def _joined(luts: NDArray[np.uint8]) -> str:
    known = {colour: name for name, colour in _COLOURS.items()}
    names = [known.get(tuple(lut[255].tolist()), "#{:02x}{:02x}{:02x}".format(*lut[255].tolist())) for lut in luts]
    return f"{len(luts)} channels joined as {', '.join(names)}"


def _colour_samples(page: Any) -> int:
    """Return how many samples of a pixel are its colour."""
    return {_RGB: 3, _CMYK: 4, _YCBCR: 3, _CIELAB: 3, _ICCLAB: 3}.get(int(page.photometric), 1)


def extra_samples(page: Any) -> list[int]:
    """List the kinds of the samples beyond the colour, 0 (unspecified) if the file does not say it."""
    count = page.samplesperpixel - _colour_samples(page)
    told = [int(kind) for kind in page.extrasamples or ()]
    return ([0] * count + told)[-count:] if count > 0 else []


def _bare_channels(page: Any) -> int:
    """Return how many channels a gray page has, without alpha; 1 for any other page."""
    extras = extra_samples(page)
    if page.photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) or not extras:
        return 1
    return int(page.samplesperpixel) - sum(kind in (ASSOCIATED, UNASSOCIATED) for kind in extras)


def _mode(chosen: Chosen) -> str:
    """Name the kind of picture with Pillow's word if there is one. RGB and L mean 8 bits."""
    page = chosen.page
    if chosen.colours is not None and len(chosen.colours) > 1:
        return f"{len(chosen.colours)} channels"
    bits = page.bitspersample
    suffix = "" if bits == 8 and page.sampleformat in (_UNSIGNED, _UNDEFINED) else f";{page.dtype}" if bits == 8 else ""
    if not isinstance(bits, int) or bits != 8:
        suffix = f";{page.dtype}" if page.sampleformat in (_SIGNED, _REAL) else f";{bits}"
    alpha = "A" if any(kind in (ASSOCIATED, UNASSOCIATED) for kind in extra_samples(page)) else ""
    names = {_RGB: "RGB", _PALETTE: "P", _CMYK: "CMYK", _YCBCR: "RGB", _CIELAB: "LAB", _ICCLAB: "LAB"}
    return names.get(int(page.photometric), "L") + alpha + suffix


def _is_inverted(page: Any) -> bool:
    return int(page.photometric) == _WHITE_IS_ZERO


def refuse(page: Any) -> None:
    """Raise Unsupported for a page that tifffile or this module can't read as its tags describe it."""
    from tifffile import TIFF

    if 0 in (page.imagewidth, page.imagelength) or not len(page.dataoffsets):
        raise Unusable("is a damaged TIFF file")
    photometric = int(page.photometric)
    if photometric in _OTHERS:
        raise Unsupported(f"is a TIFF file that holds {_OTHERS[photometric]}; {_REMEDY}")
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _CIELAB, _ICCLAB):
        raise Unsupported(f"is a TIFF file of unknown colours (photometric interpretation {photometric}); {_REMEDY}")
    compression = page.compression
    if compression not in TIFF.DECOMPRESSORS or compression in (65000, 65001, 65002):
        name = getattr(compression, "name", compression)
        raise Unsupported(f"is a TIFF file with a compression that is not read here ({name}); {_REMEDY}")
    if page.dtype is None or page.dtype.kind not in "buif":
        form = f"{page.bitspersample}-bit samples of format {int(page.sampleformat)}"
        raise Unsupported(f"is a TIFF file of {form}, which are not read here; {_REMEDY}")
    if page.samplesperpixel > _MOST_SAMPLES:
        raise Unsupported(f"has {page.samplesperpixel} channels; save the channels to look at as a colour picture")
    if page.imagedepth > 1:
        raise Unsupported(f"is a TIFF file of a volume with {page.imagedepth} planes; {_REMEDY}")
    if photometric == _CMYK and page.tags.valueof(_INK_SET) not in (None, 1):
        raise Unsupported(f"is a TIFF file of inks that are not CMYK; {_REMEDY}")
    if page.samplesperpixel < _colour_samples(page):
        raise Unusable("is a damaged TIFF file")
    tile, picture = page.tilewidth * page.tilelength, page.imagewidth * page.imagelength
    if page.is_tiled and tile > max(4 * picture, _LARGE_TILE):
        raise Unusable("is a damaged TIFF file")


def _plane(data: bytes, chosen: Chosen, place: int) -> Samples:
    """Read the samples (h, w, n) of one page."""
    page = chosen.series[0] if place == 0 else None
    if place and not chosen.series.is_truncated:
        page = chosen.series[place]
    if place and page is None:
        # ImageJ stores a large stack as raw bytes behind a single page that describes it.
        key = chosen.page
        if not key.is_final or key.compression != _NO_COMPRESSION:
            raise Unusable("lacks some of its channels")
        raw = np.frombuffer(
            data, np.dtype(key.parent.byteorder + key.dtype.char), int(np.prod(key.shaped)),
            offset=key.dataoffsets[0] + place * key.nbytes,
        )  # fmt: skip
        return _pixels_last(raw.astype(key.dtype).reshape(key.shaped))
    page = chosen.page if page is None else page
    _refuse_cut(page, len(data))
    if int(chosen.page.photometric) == _YCBCR and _needs_libtiff(chosen.page):
        import imagecodecs

        return np.asarray(imagecodecs.tiff_decode(data, page.index, asrgb=True))[..., :3]
    if page.keyframe.compression in JPEGS:
        _listen_to_jpeg(page, data)
    return _pixels_last(np.asarray(page.asarray(squeeze=False, maxworkers=1)))


def _listen_to_jpeg(page: Any, data: bytes) -> None:
    """Treat damaged JPEG data in a TIFF file as in a JPEG file: pass on the decoder's warning, and raise Unusable if
    the data are cut off."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        piece = data[offset : offset + count]
        if said := tiff_jpeg.complaint(piece, page.jpegtables):
            if not tiff_jpeg.has_end(piece):
                raise Unusable("is a damaged TIFF file")
            complaints.complain(said)


def _pixels_last(samples: Samples) -> Samples:
    """Bring samples from tifffile's shape (separate planes, depth, h, w, samples) to (h, w, n)."""
    separate, _, height, width, contiguous = samples.shape
    return samples[:, 0].transpose(1, 2, 0, 3).reshape(height, width, separate * contiguous)


def _needs_libtiff(page: Any) -> bool:
    """Tell whether the decoder of a YCbCr page does not give RGB, so that libtiff must decode it."""
    from tifffile import TIFF

    return page.compression not in (*JPEGS, *TIFF.IMAGE_COMPRESSIONS)


def _refuse_cut(page: Any, size: int) -> None:
    """Raise Unusable if strips or tiles of a page are missing from the file."""
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if not parts or any(count == 0 or offset == 0 for offset, count in parts):
        raise Unusable("is a TIFF file that lacks part of its pixels")
    end = max(offset + count for offset, count in parts)
    if page.keyframe.compression != _NO_COMPRESSION and end > size:
        raise Unusable("is a truncated TIFF file")


def _raster(data: bytes, chosen: Chosen, samples: Samples) -> Raster:
    """Make the picture of a single page from its samples (h, w, n)."""
    page, photometric = chosen.page, int(chosen.page.photometric)
    if photometric == _PALETTE:
        return Raster(_coloured(page, samples[..., 0]))
    if photometric in (_CMYK, _CIELAB, _ICCLAB):
        return Raster(_converted(photometric, samples))
    if photometric == _YCBCR and page.compression == _JPEG_2000_YCBCR:
        return Raster(_ycbcr(samples))
    if chosen.colours is not None:
        channels = _moved(samples[..., : len(chosen.colours)], chosen.offset)
        return Raster(channels, chosen.bits, _is_inverted(page), chosen.colours)
    colour = samples[..., : _colour_samples(page)]
    if (extras := extra_samples(page)) and extras[0] == ASSOCIATED and samples.dtype.kind == "u":
        colour = _without_alpha(colour, samples[..., colour.shape[-1]], chosen.bits)
    if colour.shape[-1] == 1:
        colour = colour[..., 0]
    return Raster(_moved(colour, chosen.offset), chosen.bits, _is_inverted(page))


def _moved(samples: Samples, offset: int) -> Samples:
    return samples.astype(np.int32) + offset if offset else samples


def _without_alpha(colour: Samples, alpha: Samples, bits: int) -> Samples:
    """Divide colours by alpha, if they were multiplied by it."""
    white = (1 << (bits or 8 * colour.dtype.itemsize)) - 1
    whole = colour.astype(np.uint64) * white // np.maximum(alpha, 1)[..., None]
    return np.where(alpha[..., None] > 0, np.minimum(whole, white), colour).astype(colour.dtype)


def _coloured(page: Any, index: Samples) -> NDArray[np.uint8]:
    """Look up the colours (h, w, 3) of a picture with a palette."""
    colours = page.colormap
    if colours is None:
        raise Unusable("is a TIFF file that lacks its palette")
    # The values of the colour map have 16 bits, but some programs write 8-bit values.
    table = np.asarray(colours if colours.max() < 256 else colours >> 8, np.uint8).T
    if int(index.max()) >= len(table):
        raise Unusable("is a TIFF file whose palette lacks colours")
    return table[index.astype(np.intp)]


def _converted(photometric: int, samples: Samples) -> NDArray[np.uint8]:
    """Convert CMYK or Lab to RGB (h, w, 3)."""
    if samples.dtype.kind not in "ui" or samples.dtype.itemsize > 2:
        raise Unsupported(f"is a TIFF file of {samples.dtype} inks or Lab colours; {_REMEDY}")
    high = np.ascontiguousarray(samples >> 8 if samples.dtype.itemsize == 2 else samples).astype(np.uint8)
    size = (samples.shape[1], samples.shape[0])
    if photometric == _CMYK:
        image = Image.frombytes("CMYK", size, np.ascontiguousarray(high[..., :4]).tobytes())
        return np.asarray(image.convert("RGB"))
    lab = high[..., :3].copy()
    if photometric == _ICCLAB:  # here a and b are unsigned, but Pillow expects signed numbers
        lab[..., 1:] ^= 0x80
    image = Image.frombytes("LAB", size, lab.tobytes())
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(image, *profiles, outputMode="RGB"))


def _ycbcr(samples: Samples) -> NDArray[np.uint8]:
    size = (samples.shape[1], samples.shape[0])
    return np.asarray(Image.frombytes("YCbCr", size, np.ascontiguousarray(samples).tobytes()).convert("RGB"))

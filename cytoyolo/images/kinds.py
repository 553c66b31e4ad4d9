"""Sort the files of a folder: images that are read, images of a kind that is not read, and other files.

The extension decides. The first bytes decide if the extension says nothing or may be wrong. Files are never read whole,
because some kinds of images have many gigabytes. `signatures` knows kinds of files by their first bytes.
"""

from pathlib import Path

from cytoyolo.images.decoding import EXTENSIONS, FORMATS
from cytoyolo.signatures import by_mark

# Further extensions of images in one of FORMATS. If such a file is of another kind, its bytes tell.
_ALSO_READ = frozenset(
    (".jfif", ".jpe", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo", ".dib", ".apng", ".tf2", ".tf8", ".btf")
)
READ = EXTENSIONS | _ALSO_READ
# Extensions of microscope files that are TIFF files inside.
_TIFF_INSIDE = (".lsm", ".stk")

_PICTURE = "save it as PNG or TIFF"
_RAW = "develop it to TIFF or PNG"
_MICROSCOPE = "export its images as TIFF or PNG"
_VIDEO = "save its frames as PNG"
_SLIDE = "export fields of it as TIFF or PNG"
# Kinds of images that are not read: what they are, what to do, and their extensions.
_UNREAD = (
    ("a GIF image", _PICTURE, "gif"),
    ("a JPEG 2000 image", _PICTURE, "jp2 j2k j2c jpc jpf jpx jpm jph jhc"),
    ("a HEIF image", _PICTURE, "heic heif heics heifs hif avci avif avifs"),
    ("a JPEG XL image", _PICTURE, "jxl"),
    ("a JPEG XR image", _PICTURE, "jxr wdp hdp"),
    ("a JPEG-LS image", _PICTURE, "jls"),
    ("a Photoshop image", _PICTURE, "psd psb"),
    ("a GIMP image", _PICTURE, "xcf"),
    ("a Netpbm image", _PICTURE, "ppm pgm pbm pnm pam pfm"),
    ("a TGA image", _PICTURE, "tga"),
    ("a PCX image", _PICTURE, "pcx"),
    ("an icon", _PICTURE, "ico cur icns"),
    ("a high-range image", _PICTURE, "exr hdr pic"),
    ("a Sun raster image", _PICTURE, "ras sr"),
    ("a FITS image", _PICTURE, "fits fit fts"),
    ("a DICOM image", _MICROSCOPE, "dcm dicom dic"),
    ("a camera's raw image", _RAW,
     "dng cr2 cr3 crw nef nrw arw srf sr2 orf rw2 raf pef srw raw 3fr fff iiq kdc dcr k25 mrw x3f erf mef mos rwl"),
    ("a whole-slide image", _SLIDE,
     "svs ndpi ndpis scn mrxs vms vmu bif qptiff isyntax i2syntax mds mdsx kfb sdpc tron svslide afi"),
    ("a microscope's file", _MICROSCOPE,
     "czi zvi lif lof xlif nd2 oib oif oir vsi ets lsm stk ids ics dv r3d ims flex mvd2 liff ipl sld dm3 dm4 mrc"),
    ("an image volume", _MICROSCOPE, "nii nrrd nhdr mha mhd"),
    ("a video", _VIDEO, "mp4 m4v avi mov mkv webm wmv mpg mpeg flv mts m2ts 3gp ogv"),
)  # fmt: skip
_KINDS = {f".{name}": (what, remedy) for what, remedy, names in _UNREAD for name in names.split()}
# The extension for what `signatures` says of a file whose name says nothing. Kinds that are seldom images, or whose
# signature is short, are not listed.
_EXTENSION_OF = {
    "a GIF image": ".gif",
    "a JPEG 2000 image": ".jp2",
    "a JPEG XL image": ".jxl",
    "a HEIC image": ".heic",
    "an AVIF image": ".avif",
    "a DICOM file": ".dcm",
}
_HEAD = 132


def is_image(path: Path) -> bool:
    """Tell whether a file is read as an image.

    Its extension decides, or its first bytes if the extension says nothing or names a kind that is not read.

    Parameters
    ----------
    path : Path
        The file. If it can't be opened, its extension decides, and reading it will give the reason.

    Examples
    --------
    >>> from pathlib import Path
    >>> is_image(Path("a.JPG")), is_image(Path("notes.txt"))
    (True, False)
    """
    suffix = _suffix(path)
    if suffix in READ:
        return True
    if suffix not in _KINDS and not _says_nothing(suffix):
        return False
    kind = _kind_of(_head(path))
    # Raw and whole-slide files may be TIFF files, but their first picture is often only a thumbnail.
    return bool(kind) and (kind != "TIFF" or suffix in _TIFF_INSIDE or _says_nothing(suffix))


def unread_kind(path: Path) -> str:
    """Say what an image of a kind that is not read is, and what to do; "" for any other file.

    Examples
    --------
    >>> from pathlib import Path
    >>> unread_kind(Path("scan.heic"))
    'is a HEIF image (.heic), a kind that is not read; save it as PNG or TIFF'
    """
    suffix = _suffix(path)
    if suffix not in _KINDS and _says_nothing(suffix):
        kind = by_mark(_head(path))
        suffix = _EXTENSION_OF.get(kind[0], suffix) if kind else suffix
    if suffix not in _KINDS:
        return ""
    what, remedy = _KINDS[suffix]
    return f"is {what} ({suffix}), a kind that is not read; {remedy}"


def _suffix(path: Path) -> str:
    return path.suffix.strip().lower()


def _says_nothing(suffix: str) -> bool:
    """Tell whether an extension says nothing: it is empty or a number (IM.0001)."""
    return not suffix or suffix[1:].isdecimal()


def _head(path: Path) -> bytes:
    """Return the first bytes of a file; b"" if it is not a file or can't be opened."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_HEAD)
    except (OSError, ValueError):
        return b""


def _kind_of(head: bytes) -> str:
    """Return the format of a file with these first bytes, "" if no format of FORMATS begins so.

    This is stricter than `decoding.sniff`, because the extension does not name the format here.
    """
    kind = next((name for magic, (name, _) in FORMATS.items() if head.startswith(magic)), "")
    if kind == "WEBP" and head[8:12] != b"WEBP":
        return ""
    if kind == "BMP" and (head[6:10] != b"\0\0\0\0" or len(head) < 30):
        return ""
    return kind

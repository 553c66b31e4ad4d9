"""What a file is to a person who looks for images: one that is read, one of a kind that is not, or something else.

The name's extension is asked first, and the first bytes where it says nothing or may be wrong. No file is read whole:
some of these kinds have many gigabytes.
"""

from pathlib import Path

from cytoyolo.images.decoding import EXTENSIONS, FORMATS

# Further names of files that hold one of FORMATS, or are to be told from it by their content.
_ALSO_READ = frozenset(
    (".jfif", ".jpe", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo", ".dib", ".apng", ".tf2", ".tf8", ".btf")
)
READ = EXTENSIONS | _ALSO_READ
# Microscopes' files that are TIFFs inside.
_TIFF_INSIDE = (".lsm", ".stk")

_PICTURE = "save it as PNG or TIFF"
_RAW = "develop it to TIFF or PNG"
_MICROSCOPE = "export its images as TIFF or PNG"
_SLIDE = "export fields of it as TIFF or PNG"
# Kinds of images that are not read: what they are, what to do, and the extensions they have.
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
)  # fmt: skip
_KINDS = {f".{name}": (what, remedy) for what, remedy, names in _UNREAD for name in names.split()}
# Other kinds of images by their first bytes, for files whose names say nothing.
_SIGNS = (
    (0, b"GIF8", ".gif"),
    (0, b"\x00\x00\x00\x0cjP  ", ".jp2"),
    (0, b"\xff\x4f\xff\x51", ".jp2"),
    (0, b"\x00\x00\x00\x0cJXL ", ".jxl"),
    (4, b"ftypheic", ".heic"),
    (4, b"ftypheix", ".heic"),
    (4, b"ftypmif1", ".heic"),
    (4, b"ftypavif", ".avif"),
    (128, b"DICM", ".dcm"),
)
_HEAD = 132


def is_image(path: Path) -> bool:
    """Whether a file is to be read as an image: by its name, or where that says nothing or another kind by its bytes.

    A file that can't be opened is one if its name says so; reading it will tell why.
    """
    suffix = _suffix(path)
    if suffix in READ:
        return True
    if suffix not in _KINDS and not _says_nothing(suffix):
        return False
    kind = _kind_of(_head(path))
    # Raw and whole-slide files may be TIFFs that show no more than a thumbnail.
    return bool(kind) and (kind != "TIFF" or suffix in _TIFF_INSIDE or _says_nothing(suffix))


def unread_kind(path: Path) -> str:
    """Of an image of a kind that is not read, what it is and what to do; else ""."""
    suffix = _suffix(path)
    if suffix not in _KINDS and _says_nothing(suffix):
        head = _head(path)
        suffix = next((named for start, sign, named in _SIGNS if head[start:].startswith(sign)), suffix)
    if suffix not in _KINDS:
        return ""
    what, remedy = _KINDS[suffix]
    return f"is {what} ({suffix}), a kind that is not read; {remedy}"


def _suffix(path: Path) -> str:
    return path.suffix.strip().lower()


def _says_nothing(suffix: str) -> bool:
    """Whether an extension tells no kind: none, or a number (IM.0001)."""
    return not suffix or suffix[1:].isdecimal()


def _head(path: Path) -> bytes:
    """The first bytes of a file; none of what is no file, or can't be opened."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_HEAD)
    except (OSError, ValueError):
        return b""


def _kind_of(head: bytes) -> str:
    """The format of a file that begins so, "" for none of FORMATS; stricter than where the name says it as well."""
    kind = next((found for magic, (found, _) in FORMATS.items() if head.startswith(magic)), "")
    if kind == "WEBP" and head[8:12] != b"WEBP":
        return ""
    if kind == "BMP" and (head[6:10] != b"\0\0\0\0" or len(head) < 30):
        return ""
    return kind

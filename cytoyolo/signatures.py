"""Tell by its first bytes what kind of file a file is, if it is not an image that this package reads.

`tables.kinds` uses this too, for a file that was given instead of a table.
"""

import re

_PNG, _PICTURE, _FRAMES = "save it as PNG", "save its picture as PNG", "save its frames as PNG"
_EXPORT = "export its picture as TIFF or PNG"
_MARKS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"GIF8", "a GIF image", _PNG),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image", _PNG),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image", _PNG),
    (0, b"\xff\x0a", "a JPEG XL image", _PNG),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL image", _PNG),
    (0, b"II\xbc", "a JPEG XR image", _PNG),
    (128, b"DICM", "a DICOM file", _PICTURE),
    (0, b"%PDF", "a PDF document", _PICTURE),
    (0, b"%!PS", "a PostScript document", _PICTURE),
    (0, b"ZISRAWFILE", "a Zeiss CZI file", _EXPORT),
    (0, b"\xda\xce\xbe\x0a", "a Nikon ND2 file", _EXPORT),
    (0, b"p\0\0\0", "a Leica LIF file", _EXPORT),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file (such as Olympus OIB or an old Office document)",
     _EXPORT),
    (0, b"8BPS", "a Photoshop file", _PNG),
    (0, b"gimp xcf", "a GIMP file", _PNG),
    (0, b"\0\0\1\0", "an icon file", _PNG),
    (0, b"qoif", "a QOI image", _PNG),
    (0, b"icns", "an icon file", _PNG),
    (0, b"v/1\1", "an OpenEXR image", _PNG),
    (0, b"#?RADIANCE", "a Radiance HDR image", _PNG),
    (0, b"SIMPLE  =", "a FITS image", _PNG),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _EXPORT),
    (0, b"\x93NUMPY", "a NumPy array", "save it as PNG or TIFF"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video", _FRAMES),
    (0, b"\0\0\1\xba", "an MPEG video", _FRAMES),
    (0, b"\0\0\1\xb3", "an MPEG video", _FRAMES),
    (0, b"0&\xb2u\x8ef\xcf\x11", "a Windows Media video", _FRAMES),
    (0, b"FLV\1", "a Flash video", _FRAMES),
    (4, b"moov", "a QuickTime video", _FRAMES),
    (4, b"mdat", "a QuickTime video", _FRAMES),
    (0, b"PK\3\4", "a ZIP archive (or an Office document)", "unpack its images"),
    (0, b"\x1f\x8b", "a file compressed with gzip", "unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack its images"),
    (0, b"Rar!\x1a\x07", "a RAR archive", "unpack its images"),
    (0, b"\0\5\x16\7", "what macOS keeps beside a file (AppleDouble), not the image itself", "take the image"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the image itself", "fetch the image with `git lfs pull`"),
)  # fmt: skip
# Files of the ISO base media format, by the letters that follow "ftyp".
_BRANDS = {b"avi": "an AVIF image", b"crx": "a Canon raw (CR3) image", b"qt ": "a QuickTime video"}
_HEIF = (b"hei", b"hev", b"mif1", b"msf1", b"miaf")
_RIFF = {b"AVI ": "an AVI video", b"WAVE": "a WAV sound file"}
_ANYMAP = re.compile(rb"P[1-7][\s#]")
_MARKUP = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:\?xml|!doctype|!--|html|svg|head|body)\b", re.IGNORECASE)


def what_is(data: bytes) -> tuple[str, str] | None:
    """Tell what a file is and what to do with it.

    Parameters
    ----------
    data : bytes
        The file's bytes, or at least the first 4,096 of them.

    Returns
    -------
    tuple of str, or None
        What the file is and what the user can do; None if its kind is not known.

    Examples
    --------
    >>> what_is(b"GIF89a...")
    ('a GIF image', 'save it as PNG')
    """
    if kind := by_mark(data):
        return kind
    if _ANYMAP.match(data):
        return "a PNM image (PBM, PGM, PPM or PAM)", _PNG
    start = data[:4096]
    if _MARKUP.match(start):
        is_drawing = b"<svg" in start.lower()
        return ("an SVG drawing", _PNG) if is_drawing else ("a web page or XML text", "fetch the image itself")
    return None


def by_mark(data: bytes) -> tuple[str, str] | None:
    """Tell it by signatures that no text file begins with; see `what_is`."""
    for at, mark, what, remedy in _MARKS:
        if data.startswith(mark, at):
            return what, remedy
    if data[4:8] == b"ftyp":
        return _of_brand(data[8:12])
    if data.startswith(b"RIFF") and data[8:12] in _RIFF:
        return _RIFF[data[8:12]], "save pictures of it as PNG"
    return None


def _of_brand(brand: bytes) -> tuple[str, str]:
    if brand.startswith(_HEIF):
        return "a HEIC image", _PNG
    for start, what in _BRANDS.items():
        if brand.startswith(start):
            return what, _FRAMES if "video" in what else _PNG
    return "an MP4 video", _FRAMES

"""What a file is, recognized by its first bytes. Names only decide where bytes can't.

A picture may be called `IMG_3`, `a.jpeg.1` or `a.jpg?width=300`, and a zip may have no suffix at all.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

HEAD_BYTES = 512  # enough for every signature below; tar has its signature at byte 257

HEIC_SUFFIXES = frozenset({".heic", ".heif"})
PICTURE_SUFFIXES = HEIC_SUFFIXES.union(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    (".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx"),
)
VIDEO_SUFFIXES = frozenset(  # not .ts, which also is the suffix of TypeScript
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp", ".mts", ".m2ts", ".vob", ".ogv"}
)
ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tgz", ".tbz2", ".txz", ".rar", ".7z"})
COMPRESSED_SUFFIXES = frozenset({".gz", ".bz2", ".xz"})  # of a tar, or of one file
RAW_SUFFIXES = frozenset(  # most of them look like TIFF files, but only their small preview can be read
    {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"}
)
DOCUMENT_SUFFIXES = frozenset(  # zips that are not archives of photos
    {".apk", ".docx", ".epub", ".jar", ".npz", ".odp", ".ods", ".odt", ".pptx", ".pt", ".pth", ".whl", ".xlsx"}
)
ICLOUD_SUFFIX = ".icloud"  # `.IMG_1.HEIC.icloud` stands for a photo that is not on this disk
# The first file in the zip of an Office document, a LibreOffice document or an e-book.
DOCUMENT_ENTRIES = (b"[Content_Types].xml", b"_rels/.rels", b"mimetypeapplication/")
ZIP_NAME_OFFSET = 30  # of the first file's name in a zip without a prefix
# Folders and files that systems create. They contain thumbnails, deleted files or settings, never the user's photos.
SYSTEM_NAMES = frozenset(
    {
        *("__macosx", "@eadir", "@__thumb", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "recycled", "system volume information", "lost+found", "@sharebin"),
        *("network trash folder", "temporary items"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini"),
    }
)
PREVIEWS_SUFFIX = ".lrdata"  # of a folder of previews that Lightroom keeps beside its catalog
# A photo library of Apple is a folder. Besides the originals, it holds smaller copies of them in these subfolders.
LIBRARY_ENDINGS = (".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary", "iphoto library")
LIBRARY_PREVIEWS = frozenset({"resources", "scopes", "thumbnails", "previews", "data.noindex", "ipod photo cache"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
AUDIO_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P "})
BMP_HEADER_BYTES = frozenset({12, 40, 52, 56, 64, 108, 124})
MOVIE_ATOMS = frozenset({b"moov", b"mdat", b"wide"})  # at the start of QuickTime files without `ftyp`
THEORA = b"\x80theora"  # starts the first page of an Ogg video, after a header of 28 bytes

Category = Literal["picture", "video", "archive", "other"]


@dataclass(frozen=True)
class FileKind:
    """A kind of file, such as ("picture", "JPEG"). The name is empty if the content was not recognized."""

    category: Category
    name: str = ""


UNKNOWN = FileKind("other")
EMPTY_FILE = FileKind("other", "empty file")
UNREADABLE_ARCHIVE = "archive that can't be read"  # start of a kind; the reason follows
ICLOUD = FileKind("other", "photo still in iCloud (download it first)")
ARROW = FileKind("other", "Arrow file; write Parquet instead: datasets.Dataset.from_file(FILE).to_parquet(NEW)")
SIGNATURES: tuple[tuple[bytes, FileKind], ...] = (
    (b"\xff\xd8\xff", FileKind("picture", "JPEG")),
    (b"\x89PNG\r\n\x1a\n", FileKind("picture", "PNG")),
    (b"GIF87a", FileKind("picture", "GIF")),
    (b"GIF89a", FileKind("picture", "GIF")),
    (b"II*\0", FileKind("picture", "TIFF")),
    (b"MM\0*", FileKind("picture", "TIFF")),
    (b"II+\0", FileKind("picture", "TIFF")),
    (b"MM\0+", FileKind("picture", "TIFF")),
    (b"\xff\x0a", FileKind("picture", "JPEG XL")),
    (b"\0\0\0\x0cJXL \r\n\x87\n", FileKind("picture", "JPEG XL")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", FileKind("picture", "JPEG 2000")),
    (b"\xff\x4f\xff\x51", FileKind("picture", "JPEG 2000")),
    (b"\x1aE\xdf\xa3", FileKind("video", "Matroska or WebM")),
    (b"\0\0\1\xba", FileKind("video", "MPEG")),
    (b"\0\0\1\xb3", FileKind("video", "MPEG")),
    (b"0&\xb2u\x8ef\xcf\x11", FileKind("video", "Windows Media")),
    (b"FLV\1", FileKind("video", "Flash video")),
    (b"PK\3\4", FileKind("archive", "zip")),
    (b"PK\5\6", FileKind("archive", "zip")),
    (b"PK\7\x08PK\3\4", FileKind("archive", "zip")),
    (b"Rar!\x1a\7", FileKind("archive", "RAR")),
    (b"7z\xbc\xaf'\x1c", FileKind("archive", "7z")),
    (b"\x1f\x8b", FileKind("archive", "gzip")),
    (b"\xfd7zXZ\0", FileKind("archive", "xz")),
    (b"BZh", FileKind("archive", "bzip2")),
    (b"(\xb5/\xfd", FileKind("archive", "zstd")),
    (b"\x04\x22\x4d\x18", FileKind("archive", "LZ4")),
    (b"PAR1", FileKind("archive", "Parquet")),
    (b"ARROW1", ARROW),
    (b"8BPS", FileKind("other", "Photoshop file")),
    (b"%PDF", FileKind("other", "PDF")),
    (b"{\\rtf", FileKind("other", "RTF document")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind("other", "Office document")),
    (b"SQLite format 3\0", FileKind("other", "SQLite database")),
    (b"version https://git-lfs", FileKind("other", "Git LFS pointer (run: git lfs pull)")),
)


def kind_of_content(head: bytes) -> FileKind:
    """The kind of a file that starts with `head`, its first `HEAD_BYTES` bytes."""
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[4:8] == b"ftyp":
        return _kind_of_brands(head)
    if head[:4] == b"RIFF":
        by_form = {b"WEBP": FileKind("picture", "WebP"), b"AVI ": FileKind("video", "AVI")}
        return by_form.get(head[8:12], UNKNOWN)
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADER_BYTES:
        return FileKind("picture", "BMP")
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace() and head[3:4] in b"0123456789#":
        return FileKind("picture", "PPM")
    if head[4:8] in MOVIE_ATOMS:
        return FileKind("video", "QuickTime")
    if head.startswith(b"OggS") and head[28:].startswith(THEORA):
        return FileKind("video", "Ogg video")
    if _is_transport_stream(head):
        return FileKind("video", "MPEG transport stream")
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return FileKind("archive", "tar")
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return FileKind("other", "web page")
    return UNKNOWN


def _is_transport_stream(head: bytes) -> bool:
    """Whether a file consists of the packets of an MPEG transport stream: 188 bytes, in AVCHD with 4 more before each.

    Each header begins with the letter G; its bits for errors and for encryption are 0.
    """
    for first, step in ((0, 188), (4, 192)):
        headers = [head[i : i + 4] for i in range(first, HEAD_BYTES - 4, step)]
        if all(len(each) == 4 and each[0] == ord("G") and each[1] < 0x80 and each[3] < 0x40 for each in headers):
            return True
    return False


def _is_old_tar(head: bytes) -> bool:
    """Whether a file starts with the header of a tar from before 1988, which has no signature but a checksum."""
    digits = head[148:156].strip(b" \0")
    if len(head) < 512 or not head[0] or not 4 <= len(digits) <= 7 or not digits.isdigit() or max(digits) > ord("7"):
        return False
    return sum(head[:512]) - sum(head[148:156]) + 8 * ord(" ") == int(digits, 8)


def kind_of_file(name: str, head: bytes) -> FileKind:
    """The kind of a file by its content, and by its suffix where the content says nothing, as in a truncated video."""
    suffix = suffix_of(name)
    if suffix == ".arrow":  # its stream format has no signature
        return ARROW
    if suffix == ICLOUD_SUFFIX:
        return ICLOUD
    if suffix in RAW_SUFFIXES:
        return FileKind("other", f"camera raw ({suffix}): convert it to JPEG first")
    kind = kind_of_content(head)
    if kind.category == "archive" and suffix in DOCUMENT_SUFFIXES:
        return UNKNOWN
    is_document = kind.name == "zip" and head[ZIP_NAME_OFFSET:].startswith(DOCUMENT_ENTRIES)
    if is_document and suffix != ".zip":  # with this suffix, the user wants the pictures in the document
        return FileKind("other", "Office document")
    if kind.category == "other" and not kind.name:
        for category, suffixes in _CATEGORY_SUFFIXES:
            if suffix in suffixes:
                return FileKind(category)
        if suffix == ".parquet":
            return FileKind("other", "file with the suffix .parquet that is not a Parquet file") if head else EMPTY_FILE
    return kind


def describe_text(head: bytes) -> str:
    """What a file that can't be a picture contains: zeros, JSON, XML or another text. Empty if it is none of these."""
    if not head.strip(b"\0"):
        return "zeros, as after a failed copy"
    try:
        text = getincrementaldecoder("utf-8-sig")().decode(head).strip()  # the last character may be cut
    except UnicodeDecodeError:
        return ""
    if any(char < " " and not char.isspace() for char in text):
        return ""
    by_start = {"{": "JSON", "[": "JSON", "<": "XML", "data:image": "Base64 text of a picture (decode it first)"}
    return next((kind for start, kind in by_start.items() if text.startswith(start)), "text")


def suffix_of(name: str) -> str:
    """The suffix of a file's name in lower case, such as `.jpg`."""
    return PurePosixPath(name).suffix.lower()


def is_hidden(name: str, folder: str = "") -> bool:
    """Whether a path, with `/` as separator, lies in a hidden or system folder, or is a file of these kinds.

    Args:
        folder: the name of the folder in which the path begins. It may be a photo library.
    """
    parts = name.split("/")
    if suffix_of(name) == ICLOUD_SUFFIX:
        parts.pop()  # the photo that it stands for is missing, which the user should know
    return any(map(_is_hidden_in, [folder, *parts], parts))


def _is_hidden_in(folder: str, name: str) -> bool:
    """Whether one file or folder is hidden, a system file, or only a copy. `folder` is the one around it."""
    lower = name.lower()
    if lower in LIBRARY_PREVIEWS and folder.lower().endswith(LIBRARY_ENDINGS):
        return True
    return (
        (name.startswith(".") and name not in (".", "..")) or lower in SYSTEM_NAMES or lower.endswith(PREVIEWS_SUFFIX)
    )


_CATEGORY_SUFFIXES: tuple[tuple[Category, frozenset[str]], ...] = (
    ("picture", PICTURE_SUFFIXES),
    ("video", VIDEO_SUFFIXES),
    ("archive", ARCHIVE_SUFFIXES),
)


def _kind_of_brands(head: bytes) -> FileKind:
    """The kind of an ISO media file: its first brand, and for pictures also the compatible ones, tell."""
    end = max(16, min(int.from_bytes(head[:4], "big"), len(head)))
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, end, 4))}
    if brands & AVIF_BRANDS:
        return FileKind("picture", "AVIF")
    if head[8:12] in HEIC_BRANDS:
        return FileKind("picture", "HEIC")
    if head[8:12] in AUDIO_BRANDS:
        return FileKind("other", "audio")
    return FileKind("video", "MP4 or QuickTime")

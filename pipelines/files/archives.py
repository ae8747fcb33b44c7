"""Zip archives: their members, and what makes one unfit to be read."""

import errno
import fnmatch
import lzma
import stat
import sys
import zipfile
import zlib
from collections.abc import Iterator
from copy import copy
from pathlib import Path, PurePosixPath
from typing import cast

from pipelines.files.streams import BreakError, Notes, bound, foreign
from schemas.errors import InputError


def members(file: Path, pattern: str | None) -> list[str]:
    """Give the names of the members that `pattern` names (all when null), sorted.

    Raises `InputError` for a file that is no zip archive, for no such member, and for an archive that holds an absolute
    name, one that leads out of the archive, a link, an encrypted member or a bomb: such an archive is not read at all.
    """
    with _opened(file) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
    for info in infos:
        fault = _fault(info)
        if fault:
            raise InputError(f"{file}: member {info.filename!r} {fault}; nothing of this archive is read")
    bound(str(file), sum(info.compress_size for info in infos), sum(info.file_size for info in infos))
    names = sorted(info.filename for info in infos)
    if len(set(names)) < len(names):
        raise InputError(f"{file}: two members have one name; nothing of this archive is read")
    found = [name for name in names if pattern is None or name == pattern or fnmatch.fnmatchcase(name, pattern)]
    if not found:
        named = f"no member {pattern!r}" if pattern is not None else "no file in this archive"
        raise InputError(f"{file}: {named}; it holds {', '.join(names[:10]) or 'nothing'}")
    return found


def _fault(info: zipfile.ZipInfo) -> str | None:
    name = info.orig_filename.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":":
        return "has an absolute name"
    if ".." in PurePosixPath(name).parts:
        return "leads out of the archive"
    if "\0" in name:
        return "has a NUL in its name"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link"
    return "is encrypted" if info.flag_bits & 1 else None


def stream(file: Path, member: str, size: int, notes: Notes) -> Iterator[bytes]:
    """Give a member's bytes in pieces of at most `size`; notes one whose checksum is wrong or whose data are broken.

    Raises `BreakError` behind the last readable piece.
    """
    with _opened(file) as archive:
        told, plain, digest = archive.getinfo(member), 0, 0
        try:
            for piece in _pieces(archive, told, size):
                plain, digest = plain + len(piece), zlib.crc32(piece, digest)
                bound(f"{file}::{member}", told.compress_size, plain)
                yield piece
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise BreakError(f"the archive's member is broken here: {error}") from error
        except (zlib.error, lzma.LZMAError, OSError) as error:
            if getattr(error, "errno", None) not in {None, errno.EINVAL}:  # the disk's, not bzip2's or a wrong place's
                raise
            notes.doubt(0, sys.maxsize, "this zip member is broken further on: its rows may have been changed")
            raise BreakError(f"the archive's member is broken here: {error}") from error
        if digest != told.CRC:
            notes.doubt(0, sys.maxsize, "the checksum of this zip member is wrong: its rows may have been changed")
        elif plain != told.file_size:
            raise BreakError(f"the archive's member is broken here: it has {plain:,} bytes, not {told.file_size:,}")


def _pieces(archive: zipfile.ZipFile, told: zipfile.ZipInfo, size: int) -> Iterator[bytes]:
    """Read a member without zipfile's own check, which keeps back the last piece, up to where its data end."""
    unchecked = copy(told)
    del unchecked.CRC
    if told.compress_type != zipfile.ZIP_STORED:
        unchecked.file_size = sys.maxsize
    with cast("zipfile.ZipExtFile", archive.open(unchecked)) as content:
        while piece := content.read1(size):
            yield piece


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        with file.open("rb") as content:
            head = content.read(64)
        what = None if head.startswith(b"PK") else foreign(head)
        raise InputError(f"{file}: {what or f'this is no readable zip archive: {error}'}") from error

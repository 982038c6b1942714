"""A journal is held by the process that writes it, so that no second run of the same subject starts beside it.

The operating system lets go of the hold when the process ends, however it ends: a journal that nobody holds
and that has no end was cut off.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30

    def hold(file: int) -> bool:
        """Hold an open file; False if another process does."""
        os.lseek(file, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import errno
    import fcntl

    _NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

    def hold(file: int) -> bool:
        """Hold an open file; False if another process does. A file system without locks holds nothing back."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        return True


def is_held(path: Path) -> bool:
    """Say whether a process is writing a journal now."""
    try:
        file = os.open(path, os.O_RDWR)
    except PermissionError:  # then nobody with our rights writes it
        return False
    try:
        return not hold(file)
    finally:
        os.close(file)

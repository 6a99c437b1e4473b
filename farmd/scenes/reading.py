"""What is said when the file of a scene cannot be read, in the same words whatever wrote it.

Called by the readers of scenes, around everything that they do with the open file: a disk may also fail half-way.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from protocol.errors import NotFound, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def explained(scene: Path) -> Iterator[None]:
    """Turn what the system says about a file into what a person can do about it.

    Raises:
        NotFound: There is no such file.
        UserError: It cannot be opened or read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {scene}", "", "check the path") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"cannot read {scene}", why, "check the permissions of the file") from error

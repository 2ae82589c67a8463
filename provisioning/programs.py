"""Finding the programs of others that we run. Debian keeps daemons where an ordinary user's PATH does not look."""

import os
import shutil
from typing import Final

from bus.errors import UnavailableError

_SEARCH: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def look_for_program(*names: str) -> str | None:
    """Path of the first of these programs that is installed; None where none is."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SEARCH))
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def find_program(name: str) -> str:
    """Path of a program; `UnavailableError` where it is not installed."""
    found = look_for_program(name)
    if found is None:
        raise UnavailableError(f"{name} is not installed; on Debian: apt install {name}")
    return found

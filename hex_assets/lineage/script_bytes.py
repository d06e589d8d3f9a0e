"""Scripts as bytes: what parser processes answer, and what is kept between runs.

They are pickled, which is an eighth of the work of any other form here, and read back so that
nothing is made of them but objects of this package, whoever wrote them.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from hex_assets.lineage.parse import Script


def write_script(script: Script) -> bytes:
    return pickle.dumps(script, 5)


def read_script(pickled: bytes) -> Script:
    """The script that was written.

    Raises:
        ValueError: it is none; nothing is made of it but what scripts are made of.
    """
    try:
        script = _Scripts(io.BytesIO(pickled)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError) as error:
        raise ValueError("not a script") from error
    if not isinstance(script, Script):
        raise ValueError("not a script")
    return script


class _Scripts(pickle.Unpickler):
    """Makes objects of this package's classes only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "frozenset"):
            return frozenset
        if module.startswith(f"{__package__}."):
            found = super().find_class(module, name)
            if isinstance(found, type):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a script")

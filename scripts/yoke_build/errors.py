# SPDX-License-Identifier: GPL-2.0
"""Errors that a person reads: what happened, why, and what to do next."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable


class BuildError(Exception):
    """Stops a script with a message; `hint` says what to do next."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def main_wrapper(main: Callable[[], int]) -> None:
    """Runs `main` and turns its errors into a message and an exit status; SIGTERM unwinds like an exception."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"  try: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)

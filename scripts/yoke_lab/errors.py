# SPDX-License-Identifier: GPL-2.0
"""Errors that a person reads: what happened, why, and what to do next."""

from __future__ import annotations


class LabError(Exception):
    """Something that the lab could not do; `hint` says what to do next."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


class ControllerGone(LabError):
    """The machine ended, or its agent closed the channel, while a command ran in it."""

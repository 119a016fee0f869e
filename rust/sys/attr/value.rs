// SPDX-License-Identifier: GPL-2.0
//! What the bytes that a user wrote into a file mean. Pure: rust/fuzz has it, too.

/// The text without white space at its ends. `None`: not UTF-8, or with a NUL.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes).ok()?.trim();
    (!text.contains('\0')).then_some(text)
}

/// A decimal number. `None`: not a number, or one that does not fit.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    text(bytes)?.parse().ok()
}

/// `0` or `1`. `None`: anything else.
pub(super) fn flag(bytes: &[u8]) -> Option<bool> {
    match text(bytes)? {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

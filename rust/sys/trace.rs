// SPDX-License-Identifier: GPL-2.0
//! The tracepoint `yoke:yoke_state`.

use crate::ffi;

/// Traces that `object` (such as `volume vol0`) went from one state to another, and why. Costs next
/// to nothing while nobody traces. Context: any.
pub fn state(object: &str, from: &str, to: &str, reason: &str) {
    let len = |s: &str| u32::try_from(s.len()).unwrap_or(0);
    // SAFETY: pointers and lengths of valid strings; C copies them.
    unsafe {
        ffi::yoke_sys_trace_state(
            object.as_ptr().cast(),
            len(object),
            from.as_ptr().cast(),
            len(from),
            to.as_ptr().cast(),
            len(to),
            reason.as_ptr().cast(),
            len(reason),
        )
    }
}

// SPDX-License-Identifier: GPL-2.0

//! Which doorbells the two ends use. Pure.

/// The doorbell that we listen to, and the one that wakes the peer; 0: none.
///
/// `first`: on a bridge whose doorbells are one register for all, which of the two ends we are. There a bell that both
/// used would ring at whoever rang it, too, and be cleared by whoever comes first. `None`: each end has its own.
pub(crate) fn choose(valid: u64, first: Option<bool>) -> (u64, u64) {
    let lowest = valid & valid.wrapping_neg();
    let rest = valid & !lowest;
    let second = rest & rest.wrapping_neg();
    match first {
        Some(true) if second != 0 => (lowest, second),
        Some(false) if second != 0 => (second, lowest),
        _ => (lowest, lowest),
    }
}

#[cfg(any(test, yoke_kunit))]
#[cfg_attr(yoke_kunit, kernel::macros::kunit_tests(yoke_ntb_bells))]
mod tests {
    use super::*;

    #[test]
    fn the_ends_ring_each_other_and_not_themselves() {
        assert_eq!(choose(0xfff0, None), (0x10, 0x10));
        assert_eq!(choose(0xfff0, Some(true)), (0x10, 0x20));
        assert_eq!(choose(0xfff0, Some(false)), (0x20, 0x10));
        assert_eq!(choose(1 << 63, Some(true)), (1 << 63, 1 << 63));
        assert_eq!(choose(0, None), (0, 0));
        assert_eq!(choose(0, Some(false)), (0, 0));
    }
}

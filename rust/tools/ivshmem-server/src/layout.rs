// SPDX-License-Identifier: GPL-2.0
//! Layout of the shared memory: the constants of `include/yoke/ivshmem_layout.h`.
//!
//! The header is the contract with the kernel driver and holds the words on each
//! field; the test below reads it and compares every constant.

/// Bytes of the server page and of each control page.
pub const PAGE_SIZE: u64 = 4096;
/// Offset of the magic, u64.
pub const MAGIC_OFFSET: usize = 0x00;
/// Offset of the layout version, u32.
pub const VERSION_OFFSET: usize = 0x08;
/// Offset of the flags, u32.
pub const FLAGS_OFFSET: usize = 0x0c;
/// Offset of the down counter, u64.
pub const DOWN_COUNT_OFFSET: usize = 0x10;
/// Offset of the shortest down time in microseconds, u32.
pub const MIN_DOWN_US_OFFSET: usize = 0x18;
/// Offset of the number of sides, u32.
pub const SIDE_COUNT_OFFSET: usize = 0x1c;
/// `YOKEVSHM` in memory.
pub const MAGIC: u64 = u64::from_le_bytes(*b"YOKEVSHM");
/// Version of the layout.
pub const VERSION: u32 = 1;
/// Flag: the link is cut.
pub const FLAG_CUT: u32 = 1 << 0;
/// Fewest sides of a link.
pub const SIDES_MIN: u16 = 2;
/// Most sides of a link.
pub const SIDES_MAX: u16 = 64;
/// Alignment of the windows, and the smallest window.
pub const WINDOW_ALIGN: u64 = 1 << 20;
/// Vector of link events.
pub const VECTOR_LINK: u16 = 0;
/// Vector of doorbell bit 0.
pub const VECTOR_DOORBELL: u16 = 1;
/// Vectors a side unless told otherwise.
pub const VECTORS_DEFAULT: u16 = 17;

/// Largest shared memory served (not part of the header: a bound of this tool).
pub const SIZE_MAX: u64 = 16 << 30;

/// Offset of the first window.
pub const fn window_base(sides: u16) -> u64 {
    (PAGE_SIZE * (1 + sides as u64)).next_multiple_of(WINDOW_ALIGN)
}

/// Bytes of each window: 0 where the memory is too small for its sides.
pub const fn window_size(bar_size: u64, sides: u16) -> u64 {
    let rest = bar_size.saturating_sub(window_base(sides)) / sides as u64;
    rest / WINDOW_ALIGN * WINDOW_ALIGN
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = include_str!("../../../../include/yoke/ivshmem_layout.h");

    /// The value text of a `#define YOKE_IVSHMEM_<name>`, comment removed.
    fn define(name: &str) -> String {
        let wanted = format!("YOKE_IVSHMEM_{name}");
        let line = HEADER
            .lines()
            .find(|line| {
                line.split_whitespace().nth(1) == Some(&wanted) && line.starts_with("#define")
            })
            .unwrap_or_else(|| panic!("the header does not define {wanted}"));
        let value = line.splitn(3, char::is_whitespace).nth(2).unwrap_or("");
        value.split("/*").next().unwrap_or("").trim().to_owned()
    }

    fn number(name: &str) -> u64 {
        let text = define(name);
        let text = text.trim_matches(|c| c == '(' || c == ')');
        if let Some(shift) = text.strip_prefix("1U << ") {
            return 1 << shift.parse::<u32>().unwrap();
        }
        let text = text.trim_end_matches(['U', 'L']);
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => text.parse(),
        }
        .unwrap_or_else(|e| panic!("{name} = {text:?}: {e}"))
    }

    #[test]
    fn constants_match_the_header() {
        let ours = [
            ("PAGE_SIZE", PAGE_SIZE),
            ("MAGIC_OFFSET", MAGIC_OFFSET as u64),
            ("VERSION_OFFSET", VERSION_OFFSET as u64),
            ("FLAGS_OFFSET", FLAGS_OFFSET as u64),
            ("DOWN_COUNT_OFFSET", DOWN_COUNT_OFFSET as u64),
            ("MIN_DOWN_US_OFFSET", MIN_DOWN_US_OFFSET as u64),
            ("SIDE_COUNT_OFFSET", SIDE_COUNT_OFFSET as u64),
            ("MAGIC", MAGIC),
            ("VERSION", u64::from(VERSION)),
            ("FLAG_CUT", u64::from(FLAG_CUT)),
            ("SIDES_MIN", u64::from(SIDES_MIN)),
            ("SIDES_MAX", u64::from(SIDES_MAX)),
            ("WINDOW_ALIGN", WINDOW_ALIGN),
            ("VECTOR_LINK", u64::from(VECTOR_LINK)),
            ("VECTOR_DOORBELL", u64::from(VECTOR_DOORBELL)),
            ("VECTORS_DEFAULT", u64::from(VECTORS_DEFAULT)),
        ];
        for (name, value) in ours {
            assert_eq!(
                number(name),
                value,
                "YOKE_IVSHMEM_{name} differs from the header"
            );
        }
    }

    #[test]
    fn every_number_that_the_server_needs_is_compared() {
        let drivers_own =
            |name: &str| name.starts_with("CTL_") || matches!(name, "DOORBELLS" | "SPADS");
        let names: Vec<&str> = HEADER
            .lines()
            .filter_map(|line| line.strip_prefix("#define YOKE_IVSHMEM_"))
            .filter_map(|rest| rest.split_whitespace().next())
            .filter(|name| !name.contains('(') && *name != "LAYOUT_H" && !drivers_own(name))
            .collect();
        assert_eq!(
            names.len(),
            16,
            "the header has changed: compare the new constant above: {names:?}"
        );
    }

    #[test]
    fn windows_share_the_rest() {
        assert_eq!(window_base(2), 1 << 20);
        assert_eq!(window_base(64), 1 << 20);
        assert_eq!(window_size(64 << 20, 2), 31 << 20);
        assert_eq!(window_size(4 << 20, 2), 1 << 20);
        assert_eq!(window_size(2 << 20, 2), 0);
        assert_eq!(window_size(1 << 20, 2), 0);
    }
}

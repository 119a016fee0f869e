// SPDX-License-Identifier: GPL-2.0
//! What the tests of the core share.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod checker;
pub mod pair;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Set to 1, it writes the expected files instead of comparing with them. For a new format version or a reviewed
/// change of a state machine; never to make a failing golden test of a released version pass.
const BLESS: &str = "YOKE_BLESS";

fn path_of(folder: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder)
        .join(name)
}

/// Compares `text` with the file `name` in tests/`folder`.
pub fn check_text(folder: &str, name: &str, text: &str) {
    let path = path_of(folder, name);
    if std::env::var_os(BLESS).is_some_and(|value| value == "1") {
        std::fs::write(&path, text)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error} ({BLESS}=1 writes it)",
            path.display()
        )
    });
    if expected != text {
        let line = expected
            .lines()
            .zip(text.lines())
            .position(|(a, b)| a != b)
            .unwrap_or(0)
            + 1;
        panic!("{name} differs from line {line} on; now it reads:\n{text}");
    }
}

/// Compares `bytes` with the golden file `name`: the bytes of a format version, which may never change.
pub fn check_golden(name: &str, bytes: &[u8]) {
    check_text("golden", name, &hex(bytes));
}

/// The golden file `name` as bytes, `len` of them.
pub fn golden(name: &str, len: usize) -> Vec<u8> {
    let path = path_of("golden", name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let mut bytes = vec![0; len];
    for line in text.lines() {
        let (at, row) = line.split_once(':').expect("OFFSET: BYTES");
        let at = usize::from_str_radix(at, 16).expect("a hexadecimal offset");
        for (index, byte) in row.split_whitespace().enumerate() {
            bytes[at + index] = u8::from_str_radix(byte, 16).expect("a hexadecimal byte");
        }
    }
    bytes
}

/// Rows of 16 bytes with their offset; rows of zeroes are left out.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, bytes) in bytes.chunks(16).enumerate() {
        if bytes.iter().any(|&byte| byte != 0) {
            let _ = write!(text, "{:04x}:", row * 16);
            for byte in bytes {
                let _ = write!(text, " {byte:02x}");
            }
            text.push('\n');
        }
    }
    text
}

/// That many cases of a property, or as many as PROPTEST_CASES says.
pub fn cases(cases: u32) -> proptest::test_runner::Config {
    let default = proptest::test_runner::Config::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => proptest::test_runner::Config { cases, ..default },
    }
}

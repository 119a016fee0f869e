// SPDX-License-Identifier: GPL-2.0
//! Fuzz targets for everything that reads what somebody else wrote: disks, windows, messages, records, frames.
//!
//! A target is a plain function of bytes that panics when a property does not hold. It is driven in three ways:
//!
//! - `cargo test -p yoke_fuzz` runs the corpus in `corpus/TARGET/`, and a bounded number of mutations of it ([`mutate`]);
//! - `make fuzz` (`scripts/fuzz`) runs libFuzzer on it, guided by coverage; it needs no nightly compiler;
//! - a failure is an input in a file: put it into the corpus, and it is tried in every run from then on.
//!
//! Properties: nothing panics; what is accepted is written again to the same bytes, and what is written is accepted and
//! means the same. Formats with a checksum are tried as they come, and once more with the checksum put right: without
//! that no random input would ever get behind it.
#![forbid(unsafe_code)]

pub mod mutate;
mod targets;

pub use targets::{find, Target, TARGETS};

use std::path::{Path, PathBuf};

/// The directory with the corpus of a target.
pub fn corpus_dir(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// The corpus of a target, by the names of its files.
///
/// # Panics
///
/// If it cannot be read.
pub fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = corpus_dir(target);
    let files = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("no corpus for {target} in {}: {error}", dir.display()));
    let mut all: Vec<_> = files
        .map(|file| {
            let path = file.expect("a directory that can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let bytes = std::fs::read(&path).expect("a file that can be read");
            (name.into_owned(), bytes)
        })
        .collect();
    all.sort();
    all
}

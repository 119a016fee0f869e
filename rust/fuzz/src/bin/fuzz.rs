// SPDX-License-Identifier: GPL-2.0
//! libFuzzer on the target that the environment names (scripts/fuzz).
#![no_main]
#![allow(missing_docs)]

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let run = TARGET.get_or_init(|| {
        let name = std::env::var("YOKE_FUZZ_TARGET").unwrap_or_default();
        yoke_fuzz::find(&name)
            .unwrap_or_else(|| panic!("YOKE_FUZZ_TARGET={name:?} is no target"))
            .run
    });
    run(data);
});

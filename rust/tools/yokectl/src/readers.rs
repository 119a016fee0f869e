// SPDX-License-Identifier: GPL-2.0
//! What yokectl reads of the kernel, for the fuzz targets: whatever stands there, it is shown and nothing breaks.

use crate::attr::Roots;
use crate::{events, status};
use std::path::Path;

/// `yokectl --json status` of the trees below `root`; `None` when yoke is not loaded there.
pub fn status(root: &Path) -> Option<String> {
    let roots = Roots {
        config: root.join("sys/kernel/config"),
        sys: root.join("sys"),
    };
    let status = status::gather(&roots).ok()?;
    serde_json::to_string(&status).ok()
}

/// `yokectl --json events` of one uevent; `None` when it is not yoke's.
pub fn event(raw: &[u8]) -> Option<String> {
    serde_json::to_string(&events::parse(raw)?).ok()
}

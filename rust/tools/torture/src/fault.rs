// SPDX-License-Identifier: GPL-2.0
//! What can be wrong with a block.

use serde::Serialize;

/// The verdicts. docs/torture.md says what each one means and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// An acknowledged write is gone: the block holds an older acknowledged version, or none.
    Lost,
    /// The block is a mixture of writes, or damaged.
    Torn,
    /// The block holds what was written to another block.
    Misplaced,
    /// The block holds a version that was already settled to be dead.
    Resurrected,
    /// The block holds a stamp that no given record accounts for, in place of an acknowledged write.
    Foreign,
    /// The block could not be read.
    Unreadable,
}

impl Verdict {
    /// All verdicts, in the order of reports.
    pub const ALL: [Verdict; 6] = [
        Verdict::Lost,
        Verdict::Torn,
        Verdict::Misplaced,
        Verdict::Resurrected,
        Verdict::Foreign,
        Verdict::Unreadable,
    ];

    /// The word for reports.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Lost => "lost",
            Verdict::Torn => "torn",
            Verdict::Misplaced => "misplaced",
            Verdict::Resurrected => "resurrected",
            Verdict::Foreign => "foreign",
            Verdict::Unreadable => "unreadable",
        }
    }
}

/// One bad block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What is wrong.
    pub verdict: Verdict,
    /// The block, in units of 4 KiB from the start of the volume.
    pub block: u64,
    /// The newest acknowledged sequence; `None` if nothing was acknowledged there.
    pub expected_seq: Option<u64>,
    /// The sequence that stands there, where one can be read.
    pub found_seq: Option<u64>,
    /// The run that wrote what stands there.
    pub found_run: Option<u64>,
    /// The rest, for people.
    pub detail: String,
}

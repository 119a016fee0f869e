// SPDX-License-Identifier: GPL-2.0
//! The control socket's words: one JSON object a line, one answer a line.

use serde::{Deserialize, Serialize};

use crate::doorbell::Drop;

/// Longest request line in bytes. A longer one ends the connection.
pub const LINE_MAX: usize = 4096;
/// Longest delay of a doorbell.
pub const DELAY_MS_MAX: u64 = 60_000;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Say how everything is.
    Status {},
    /// Cut the link.
    Cut {},
    /// Mend the link. Answered when the mend has been made visible.
    Mend {},
    /// Lose the next doorbells.
    DropDoorbells {
        /// How many.
        count: DropCount,
    },
    /// Hold every doorbell back.
    DelayDoorbells {
        /// For how long, in milliseconds; 0 ends it.
        ms: u64,
    },
}

/// A number, `"all"` or `"none"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, \"all\" or \"none\"")]
pub enum DropCount {
    /// The next so many.
    Number(u64),
    /// A word.
    Word(DropWord),
}

/// The words that [`DropCount`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropWord {
    /// Every doorbell, until told otherwise.
    All,
    /// None any more.
    None,
}

impl From<DropCount> for Drop {
    fn from(count: DropCount) -> Self {
        match count {
            DropCount::Number(0) | DropCount::Word(DropWord::None) => Self::None,
            DropCount::Number(count) => Self::Next(count),
            DropCount::Word(DropWord::All) => Self::All,
        }
    }
}

impl From<Drop> for DropCount {
    fn from(drop: Drop) -> Self {
        match drop {
            Drop::None => Self::Word(DropWord::None),
            Drop::Next(count) => Self::Number(count),
            Drop::All => Self::Word(DropWord::All),
        }
    }
}

impl Command {
    /// Reads one line, without its newline.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let command = serde_json::from_slice(line).map_err(|error| {
            format!("not a request: {error}; expected like {{\"cmd\":\"cut\"}}, with cmd one of status, cut, mend, drop-doorbells (count), delay-doorbells (ms)")
        })?;
        match command {
            Self::DelayDoorbells { ms } if ms > DELAY_MS_MAX => Err(format!(
                "a delay of {ms} ms is too long: the longest is {DELAY_MS_MAX}"
            )),
            command => Ok(command),
        }
    }
}

/// An answer.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Done; this is how things are now.
    Done {
        /// Always true.
        ok: bool,
        /// How everything is.
        status: Status,
    },
    /// Not done.
    Failed {
        /// Always false.
        ok: bool,
        /// Why, and what to do.
        error: String,
    },
}

impl Answer {
    /// A good answer.
    pub fn done(status: Status) -> Self {
        Self::Done { ok: true, status }
    }

    /// A bad one.
    pub fn failed(error: impl Into<String>) -> Self {
        Self::Failed {
            ok: false,
            error: error.into(),
        }
    }
}

/// How everything is.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The link is cut (also while a mend waits for the shortest down time).
    pub cut: bool,
    /// How often it was cut.
    pub down_count: u64,
    /// Bytes of the shared memory.
    pub size: u64,
    /// Vectors a side.
    pub vectors: u16,
    /// Shortest down time in milliseconds.
    pub min_down_ms: u32,
    /// Doorbells that will be lost.
    pub drop_doorbells: DropCount,
    /// How long a doorbell is held back, in milliseconds.
    pub delay_doorbells_ms: u64,
    /// Doorbells passed on since the start.
    pub doorbells_passed: u64,
    /// Doorbells lost on purpose since the start.
    pub doorbells_dropped: u64,
    /// Doorbells held back now.
    pub doorbells_held: usize,
    /// Each side.
    pub sides: Vec<SideStatus>,
}

/// How one side is.
#[derive(Debug, Clone, Serialize)]
pub struct SideStatus {
    /// Side number, and peer id.
    pub side: u16,
    /// A machine is connected.
    pub connected: bool,
    /// Process id of the machine, as the kernel tells.
    pub pid: Option<i32>,
    /// How many machines have connected since the start.
    pub connects: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let cases: [(&str, Command); 7] = [
            (r#"{"cmd":"status"}"#, Command::Status {}),
            (r#" {"cmd": "cut"} "#, Command::Cut {}),
            (r#"{"cmd":"mend"}"#, Command::Mend {}),
            (
                r#"{"cmd":"drop-doorbells","count":3}"#,
                Command::DropDoorbells {
                    count: DropCount::Number(3),
                },
            ),
            (
                r#"{"cmd":"drop-doorbells","count":"all"}"#,
                Command::DropDoorbells {
                    count: DropCount::Word(DropWord::All),
                },
            ),
            (
                r#"{"count":"none","cmd":"drop-doorbells"}"#,
                Command::DropDoorbells {
                    count: DropCount::Word(DropWord::None),
                },
            ),
            (
                r#"{"cmd":"delay-doorbells","ms":60000}"#,
                Command::DelayDoorbells { ms: 60_000 },
            ),
        ];
        for (line, command) in cases {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn bad_requests_are_answered_with_a_reason() {
        let cases: [&[u8]; 15] = [
            b"",
            b"cut",
            b"\xff\xfe",
            b"null",
            b"[]",
            b"{}",
            br#"{"cmd":"explode"}"#,
            br#"{"cmd":"cut","now":true}"#,
            br#"{"cmd":"cut"} trailing"#,
            br#"{"cmd":"drop-doorbells"}"#,
            br#"{"cmd":"drop-doorbells","count":-1}"#,
            br#"{"cmd":"drop-doorbells","count":"some"}"#,
            br#"{"cmd":"delay-doorbells","ms":1.5}"#,
            br#"{"cmd":"delay-doorbells","ms":60001}"#,
            br#"{"cmd":"delay-doorbells","ms":"5"}"#,
        ];
        for line in cases {
            let error = Command::parse(line).unwrap_err();
            assert!(error.len() > 20, "{line:?}: {error}");
        }
    }
}

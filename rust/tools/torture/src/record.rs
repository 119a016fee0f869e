// SPDX-License-Identifier: GPL-2.0
//! The record: one line for each thing that happened, each line checked together with all lines before it.
//!
//! A line is `TAG FIELDS CRC`. The CRC-32C (eight hexadecimal digits) is computed over the line, seeded with the CRC
//! of the line before. So a line that is damaged, missing, doubled or out of place is recognised, and a record whose
//! tail was cut off when its machine died is good up to its last whole line.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::stamp::{Found, Stamp, Tear};

/// Version of the record format.
pub const VERSION: u32 = 1;

/// Who made a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run that wrote.
    #[default]
    Write,
    /// A verify that noted what it saw.
    Observation,
}

/// The first line of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// What follows.
    pub kind: Kind,
    /// Identity of this run; it stands in every stamp.
    pub run: u64,
    /// The run that this one continues.
    pub continues: Option<u64>,
    /// The first sequence that this run may use.
    pub first_seq: u64,
    /// First block of the range.
    pub first_block: u64,
    /// Blocks in the range.
    pub blocks: u64,
    /// True if several writes to one block may be in flight at once.
    pub overlap: bool,
    /// Wall clock at the start, microseconds since 1970. All other times count from here.
    pub started_unix_us: u64,
    /// The volume's path, for people.
    pub device: String,
}

/// One line of a record.
///
/// `seq` names a write, `id` a flush or a read; `at` and `latency` are microseconds, `at` since the start of the run.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The first line.
    Header(Header),
    /// A write is about to be submitted.
    Issue {
        seq: u64,
        block: u64,
        fua: bool,
        at: u64,
    },
    /// That write was acknowledged.
    Ack { seq: u64, at: u64, latency: u64 },
    /// That write failed.
    Error { seq: u64, at: u64, errno: i32 },
    /// A flush is about to be submitted.
    FlushIssue { id: u64, at: u64 },
    /// That flush was acknowledged.
    FlushAck { id: u64, at: u64, latency: u64 },
    /// That flush failed.
    FlushError { id: u64, at: u64, errno: i32 },
    /// A checking read is about to be submitted.
    Read { id: u64, block: u64, at: u64 },
    /// That read returned this.
    ReadDone { id: u64, at: u64, found: Found },
    /// That read failed.
    ReadError { id: u64, at: u64, errno: i32 },
    /// A verify saw this in a block.
    Observed { block: u64, found: Found },
    /// The run ended in order.
    End(Figures),
}

impl Frame {
    /// The line without its CRC.
    pub fn body(&self) -> String {
        match self {
            Frame::Header(header) => format!("H {}", json(header)),
            Frame::Issue {
                seq,
                block,
                fua,
                at,
            } => {
                let tag = if *fua { 'u' } else { 'i' };
                format!("{tag} {seq} {block} {at}")
            }
            Frame::Ack { seq, at, latency } => format!("a {seq} {at} {latency}"),
            Frame::Error { seq, at, errno } => format!("e {seq} {at} {errno}"),
            Frame::FlushIssue { id, at } => format!("F {id} {at}"),
            Frame::FlushAck { id, at, latency } => format!("f {id} {at} {latency}"),
            Frame::FlushError { id, at, errno } => format!("x {id} {at} {errno}"),
            Frame::Read { id, block, at } => format!("R {id} {block} {at}"),
            Frame::ReadDone { id, at, found } => format!("r {id} {at} {}", found_text(found)),
            Frame::ReadError { id, at, errno } => format!("y {id} {at} {errno}"),
            Frame::Observed { block, found } => format!("o {block} {}", found_text(found)),
            Frame::End(figures) => format!("E {}", json(figures)),
        }
    }

    /// Reads a line without its CRC; `None` if it is none of ours.
    pub fn parse(body: &str) -> Option<Frame> {
        let (tag, rest) = body.split_once(' ')?;
        match tag {
            "H" => return serde_json::from_str(rest).ok().map(Frame::Header),
            "E" => return serde_json::from_str(rest).ok().map(Frame::End),
            _ => {}
        }
        let words: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| -> Option<u64> { words.get(at)?.parse().ok() };
        let (first, second, third) = (number(0)?, number(1), number(2));
        let errno = || third.and_then(|e| i32::try_from(e).ok());
        Some(match tag {
            "i" | "u" => Frame::Issue {
                seq: first,
                block: second?,
                fua: tag == "u",
                at: third?,
            },
            "a" => Frame::Ack {
                seq: first,
                at: second?,
                latency: third?,
            },
            "e" => Frame::Error {
                seq: first,
                at: second?,
                errno: errno()?,
            },
            "F" => Frame::FlushIssue {
                id: first,
                at: second?,
            },
            "f" => Frame::FlushAck {
                id: first,
                at: second?,
                latency: third?,
            },
            "x" => Frame::FlushError {
                id: first,
                at: second?,
                errno: errno()?,
            },
            "R" => Frame::Read {
                id: first,
                block: second?,
                at: third?,
            },
            "r" => Frame::ReadDone {
                id: first,
                at: second?,
                found: parse_found(&words[2..])?,
            },
            "y" => Frame::ReadError {
                id: first,
                at: second?,
                errno: errno()?,
            },
            "o" => Frame::Observed {
                block: first,
                found: parse_found(&words[1..])?,
            },
            _ => return None,
        })
    }
}

fn json<T: Serialize>(value: &T) -> String {
    // Plain structs of numbers and strings: serde_json cannot fail on them.
    serde_json::to_string(value).unwrap_or_default()
}

fn found_text(found: &Found) -> String {
    match found {
        Found::Nothing => "N".to_string(),
        Found::Whole(s) => format!("S {} {} {}", s.run, s.block, s.seq),
        Found::Torn(tear) => {
            let runs: Vec<String> = tear.runs.iter().map(u64::to_string).collect();
            format!("T {}, {}", runs.join(","), tear.text)
        }
    }
}

fn parse_found(words: &[&str]) -> Option<Found> {
    let number = |at: usize| -> Option<u64> { words.get(at)?.parse().ok() };
    Some(match *words.first()? {
        "N" => Found::Nothing,
        "T" => Found::Torn(Tear {
            runs: words
                .get(1)?
                .split(',')
                .filter(|run| !run.is_empty())
                .map(|run| run.parse().ok())
                .collect::<Option<_>>()?,
            text: words[2..].join(" "),
        }),
        "S" => Found::Whole(Stamp {
            run: number(1)?,
            block: number(2)?,
            seq: number(3)?,
        }),
        _ => return None,
    })
}

/// Writes a record.
pub struct Recorder {
    out: Box<dyn Write + Send>,
    crc: u32,
    pending: Vec<u8>,
}

impl Recorder {
    /// Starts a record on `out`. Nothing is written until [`Recorder::push_out`].
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Recorder {
            out,
            crc: 0,
            pending: Vec::with_capacity(4096),
        }
    }

    /// Adds a line to what the next [`Recorder::push_out`] writes.
    pub fn add(&mut self, frame: &Frame) {
        let body = frame.body();
        self.crc = crc32c::crc32c_append(self.crc, body.as_bytes());
        self.pending
            .extend_from_slice(format!("{body} {:08x}\n", self.crc).as_bytes());
    }

    /// Hands all added lines to the stream, in one write where the stream takes them at once.
    ///
    /// # Errors
    /// Those of the stream. The lines are then lost, and the run must end: its record no longer holds.
    pub fn push_out(&mut self) -> io::Result<()> {
        let result = self
            .out
            .write_all(&self.pending)
            .and_then(|()| self.out.flush());
        self.pending.clear();
        result
    }
}

/// Checks the lines of a record one after the other.
#[derive(Debug, Default)]
pub struct LineCheck {
    crc: u32,
}

impl LineCheck {
    /// The frame of `line`, if its CRC follows from all lines before it. A bad line changes nothing.
    pub fn next(&mut self, line: &str) -> Option<Frame> {
        let (body, text) = line.trim_end_matches('\r').rsplit_once(' ')?;
        let claimed = u32::from_str_radix(text, 16)
            .ok()
            .filter(|_| text.len() == 8)?;
        let crc = crc32c::crc32c_append(self.crc, body.as_bytes());
        let frame = Frame::parse(body).filter(|_| crc == claimed)?;
        self.crc = crc;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Frame> {
        let stamp = Stamp {
            run: u64::MAX,
            block: 3,
            seq: 1 << 33,
        };
        let header = Header {
            version: VERSION,
            run: 7,
            blocks: 100,
            first_seq: 1,
            device: "/dev/a \"b".into(),
            ..Header::default()
        };
        vec![
            Frame::Header(header),
            issue(1, 5, false),
            issue(2, 6, true),
            Frame::Ack {
                seq: 1,
                at: 12,
                latency: 2,
            },
            Frame::Error {
                seq: 2,
                at: 13,
                errno: 5,
            },
            Frame::FlushIssue { id: 1, at: 14 },
            Frame::FlushAck {
                id: 1,
                at: 15,
                latency: 1,
            },
            Frame::FlushError {
                id: 2,
                at: 16,
                errno: 28,
            },
            Frame::Read {
                id: 1,
                block: 5,
                at: 17,
            },
            read_done(Found::Nothing),
            read_done(Found::Whole(stamp)),
            read_done(Found::Torn(Tear {
                runs: vec![1, 2],
                text: "sector 0: damaged, sector 1: no stamp".into(),
            })),
            Frame::ReadError {
                id: 1,
                at: 19,
                errno: 5,
            },
            Frame::Observed {
                block: 5,
                found: Found::Whole(stamp),
            },
            Frame::End(Figures::default()),
        ]
    }

    fn issue(seq: u64, block: u64, fua: bool) -> Frame {
        Frame::Issue {
            seq,
            block,
            fua,
            at: 10,
        }
    }

    fn read_done(found: Found) -> Frame {
        Frame::ReadDone {
            id: 1,
            at: 18,
            found,
        }
    }

    #[test]
    fn every_frame_reads_back() {
        for frame in samples() {
            assert_eq!(
                Frame::parse(&frame.body()),
                Some(frame.clone()),
                "{frame:?}"
            );
        }
    }

    /// Records outlive the program that wrote them. If this fails, do not change the test: raise VERSION.
    #[test]
    fn golden_lines() {
        let lines = [
            "i 1 5 10 06791830",
            "a 1 12 2 c25c1ff1",
            "r 1 18 S 18446744073709551615 3 8589934592 20d26fff",
        ];
        let mut check = LineCheck::default();
        for line in lines {
            assert!(check.next(line).is_some(), "{line}");
        }
    }

    #[test]
    fn hostile_lines_are_refused() {
        let lines = [
            "",
            " ",
            "i",
            "i 1",
            "i 1 2",
            "q 1 2 3",
            "r 1 2",
            "r 1 2 S 1 2",
            "o 1",
            "a 1 2 99999999999999999999999",
            "e 1 2 99999999999",
            "H {",
            "H {\"version\":1}",
        ];
        for line in lines {
            assert_eq!(Frame::parse(line), None, "{line}");
            assert_eq!(LineCheck::default().next(line), None, "{line}");
        }
    }
}

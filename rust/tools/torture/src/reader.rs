// SPDX-License-Identifier: GPL-2.0
//! Reads a record file, and tells a tail that was cut off from a record that was damaged.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::record::{Frame, Header, LineCheck, VERSION};

/// The longest line that is looked at, in bytes. Ours are far shorter.
const LINE_LIMIT: usize = 64 * 1024;

/// How a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With its last line, as it should.
    Complete,
    /// In the middle: its writer or its machine died. Whole lines are good.
    CutOff,
}

/// What was read of a record besides its frames.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The first line.
    pub header: Header,
    /// How it ends.
    pub tail: Tail,
}

/// Reads the record at `path` and hands every frame behind the header, the last one included, to `each`.
///
/// Lines before the header are skipped: a stream through a console may begin with a greeting.
///
/// # Errors
/// The file cannot be read, has no header, has another version, or is damaged in the middle, or `each` refuses.
pub fn read(path: &Path, mut each: impl FnMut(&Header, Frame) -> Result<()>) -> Result<Outline> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open the record {name}"))?;
    let mut lines = Lines::new(BufReader::with_capacity(1 << 20, file));
    let mut check = LineCheck::default();
    let header = loop {
        let Some(line) = lines.next_line()? else {
            bail!("{name} holds no record: no valid first line (a line that begins with `H {{`). Was the run started at all?");
        };
        if let Some(Frame::Header(header)) = check.next(&line) {
            break header;
        }
    };
    if header.version != VERSION {
        bail!(
            "{name} has record version {}, this program reads version {VERSION}: use the program that wrote it",
            header.version
        );
    }
    while let Some(line) = lines.next_line()? {
        match check.next(&line) {
            Some(end @ Frame::End(_)) => {
                each(&header, end)?;
                return Ok(Outline {
                    header,
                    tail: Tail::Complete,
                });
            }
            Some(Frame::Header(_)) => bail!("{name}, line {}: a second header", lines.number),
            Some(frame) => each(&header, frame)
                .with_context(|| format!("{name}, line {}: {line}", lines.number))?,
            None => {
                let bad = lines.number;
                while let Some(later) = lines.next_line()? {
                    if looks_like_ours(&later) {
                        bail!(
                            "{name} is damaged at line {bad}: later lines follow, so this is no cut-off tail. \
                             Nothing can be proved by it; look for output of something else in the same stream"
                        );
                    }
                }
                break;
            }
        }
    }
    Ok(Outline {
        header,
        tail: Tail::CutOff,
    })
}

/// True if `line` is one of ours, whatever its CRC: a frame, a blank and eight hexadecimal digits.
fn looks_like_ours(line: &str) -> bool {
    line.trim_end_matches('\r')
        .rsplit_once(' ')
        .is_some_and(|(body, crc)| {
            crc.len() == 8
                && crc.bytes().all(|b| b.is_ascii_hexdigit())
                && Frame::parse(body).is_some()
        })
}

struct Lines<R> {
    from: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Lines { from, number: 0 }
    }

    /// The next line without its end. Bytes that are no text are replaced; an endless line is cut.
    fn next_line(&mut self) -> Result<Option<String>> {
        let mut raw = Vec::new();
        let mut seen = 0usize;
        loop {
            let chunk = self.from.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|b| *b == b'\n');
            let take = end.map_or(chunk.len(), |at| at + 1);
            let room = LINE_LIMIT.saturating_sub(raw.len());
            raw.extend_from_slice(&chunk[..take.min(room)]);
            seen += take;
            self.from.consume(take);
            if end.is_some() {
                break;
            }
        }
        if seen == 0 {
            return Ok(None);
        }
        self.number += 1;
        if raw.last() == Some(&b'\n') {
            raw.pop();
        }
        Ok(Some(String::from_utf8_lossy(&raw).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;
    use crate::record::Recorder;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A record of ten writes, with its last line if `ended`.
    fn sample(ended: bool) -> Vec<u8> {
        let out = Shared::default();
        let mut recorder = Recorder::new(Box::new(out.clone()));
        recorder.add(&Frame::Header(Header {
            version: VERSION,
            blocks: 10,
            ..Header::default()
        }));
        for seq in 1..=10 {
            recorder.add(&Frame::Issue {
                seq,
                block: seq,
                fua: false,
                at: seq,
            });
        }
        if ended {
            recorder.add(&Frame::End(Figures::default()));
        }
        recorder.push_out().unwrap();
        let bytes = out.0.lock().unwrap().clone();
        bytes
    }

    fn outcome(bytes: &[u8]) -> Result<(usize, Tail)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut frames = 0;
        let outline = read(file.path(), |_, _| {
            frames += 1;
            Ok(())
        })?;
        Ok((frames, outline.tail))
    }

    #[test]
    fn a_complete_record_is_complete() {
        assert_eq!(outcome(&sample(true)).unwrap(), (11, Tail::Complete));
    }

    #[test]
    fn a_greeting_before_it_and_carriage_returns_do_not_matter() {
        let text = String::from_utf8(sample(true)).unwrap();
        let console = format!("welcome\nH {{}}\n{}", text.replace('\n', "\r\n"));
        assert_eq!(outcome(console.as_bytes()).unwrap(), (11, Tail::Complete));
    }

    /// Cut anywhere behind the header, a record is a shorter record, never an error and never an extra frame.
    #[test]
    fn every_cut_is_a_cut_off_tail() {
        let bytes = sample(false);
        let header = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in header..bytes.len() {
            let whole = bytes[header..cut].iter().filter(|b| **b == b'\n').count();
            let (frames, tail) = outcome(&bytes[..cut]).unwrap();
            // A line that lacks only its line end is whole too.
            assert!(frames == whole || (frames == whole + 1 && bytes[cut] == b'\n'));
            assert_eq!(tail, Tail::CutOff);
        }
        assert!(outcome(&bytes[..header - 2]).is_err());
    }

    #[test]
    fn a_line_missing_changed_or_doubled_in_the_middle_is_damage() {
        let lines: Vec<Vec<u8>> = sample(true)
            .split_inclusive(|b| *b == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let mut missing = lines.clone();
        missing.remove(5);
        let mut changed = lines.clone();
        changed[5][2] ^= 1;
        let mut doubled = lines.clone();
        doubled.insert(5, lines[5].clone());
        let mut swapped = lines.clone();
        swapped.swap(5, 6);
        for bad in [missing, changed, doubled, swapped] {
            let error = outcome(&bad.concat()).unwrap_err().to_string();
            assert!(error.contains("damaged"), "{error}");
        }
    }

    #[test]
    fn endless_garbage_is_no_record() {
        assert!(outcome(&vec![b'x'; 3 * LINE_LIMIT]).is_err());
        assert!(outcome(b"").is_err());
    }
}

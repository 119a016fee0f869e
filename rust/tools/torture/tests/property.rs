// SPDX-License-Identifier: GPL-2.0
//! Random runs on a volume in memory: clean ones must be clean, and every planted fault must be found.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use yoke_torture::fault::Verdict;
use yoke_torture::history::{Judgement, Rule};
use yoke_torture::pattern::Pattern;
use yoke_torture::record::Recorder;
use yoke_torture::stamp::{self, Block, Found, Stamp};
use yoke_torture::verify::Chain;
use yoke_torture::volume::Volume;
use yoke_torture::writer::{Outcome, Plan, Run};

const RUN: u64 = 0x1234;

/// A volume in memory that remembers the versions of each block, and that can be told to misbehave.
#[derive(Default)]
struct Memory {
    blocks: Mutex<Vec<Vec<Block>>>,
    writes: AtomicU64,
    /// Acknowledge every so many writes without doing them.
    drop_every: Option<u64>,
    /// Fail every so many writes; done all the same if the number is even.
    fail_every: Option<u64>,
    /// Return the version before the last to every so many reads.
    stale_every: Option<u64>,
    reads: AtomicU64,
    /// Block and sequence of the writes that failed without effect.
    failed: Mutex<Vec<(u64, u64)>>,
}

impl Memory {
    fn new(blocks: u64) -> Self {
        Memory {
            blocks: Mutex::new(vec![vec![Block::default()]; blocks as usize]),
            ..Memory::default()
        }
    }

    /// The version of `block` that is `back` versions old.
    fn version(&self, block: u64, back: usize) -> Option<Block> {
        let blocks = self.blocks.lock().unwrap();
        blocks[block as usize].iter().rev().nth(back).cloned()
    }
}

fn due(count: u64, every: Option<u64>) -> bool {
    every.is_some_and(|n| count % n == 0)
}

impl Volume for Memory {
    fn write(&self, block: u64, data: &Block, _fua: bool) -> io::Result<()> {
        let count = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        let fail = due(count, self.fail_every);
        let dropped = due(count, self.drop_every);
        let without_effect = fail && count % 2 == 1;
        if !dropped && !without_effect {
            self.blocks.lock().unwrap()[block as usize].push(data.clone());
        }
        if let (true, Found::Whole(stamp)) = (without_effect, stamp::read(data)) {
            self.failed.lock().unwrap().push((block, stamp.seq));
        }
        match fail {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    }

    fn read(&self, block: u64, data: &mut Block) -> io::Result<()> {
        let count = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let back = usize::from(due(count, self.stale_every));
        let version = self.version(block, back).or(self.version(block, 0));
        *data = version.unwrap_or_default();
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn plan(blocks: u64, depth: usize, writes: u64, seed: u64) -> Plan {
    Plan {
        run: RUN,
        device: "memory".into(),
        first_block: 0,
        blocks,
        depth,
        pattern: Pattern::Random,
        seed,
        time_limit: None,
        write_limit: Some(writes),
        flush_every: Some(7),
        fua_ratio: 0.1,
        read_ratio: 0.0,
        overlap: false,
        errors_allowed: u64::MAX,
        drain: Duration::from_secs(60),
    }
}

/// Runs `plan` on `volume`; returns the outcome and the replayed record.
fn run(plan: Plan, volume: &Arc<Memory>) -> (Outcome, Chain) {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("record");
    let recorder = Recorder::new(Box::new(std::fs::File::create(&path).unwrap()));
    let history = yoke_torture::history::History::new(Rule::SingleFailure);
    let run = Run::start(plan, history, recorder, volume.clone()).unwrap();
    assert!(run.wait(Duration::from_secs(60)), "the run hangs");
    let outcome = run.finish().unwrap();
    (outcome, Chain::load(&[path], Rule::SingleFailure).unwrap())
}

/// The verdict on every block that is bad.
fn verdicts(chain: &Chain, volume: &Memory) -> Vec<(u64, Verdict)> {
    let count = volume.blocks.lock().unwrap().len() as u64;
    (0..count)
        .filter_map(|block| {
            let data = volume.version(block, 0)?;
            match chain.history.judge(block, &stamp::read(&data)) {
                Judgement::Bad(fault) => Some((block, fault.verdict)),
                _ => None,
            }
        })
        .collect()
}

/// A block with at least `versions` acknowledged versions, if there is one.
fn much_written(volume: &Memory, versions: usize, from: u64) -> Option<u64> {
    let blocks = volume.blocks.lock().unwrap();
    let count = blocks.len() as u64;
    (0..count)
        .map(|at| (from + at) % count)
        .find(|block| blocks[*block as usize].len() > versions)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_clean_run_is_clean(
        depth in 1usize..9, writes in 1u64..400, seed: u64, overlap: bool,
        fail_every in prop::option::of(2u64..20), pattern in 0usize..3,
    ) {
        let volume = Arc::new(Memory { fail_every, ..Memory::new(12) });
        let pattern = [Pattern::Random, Pattern::Seq, Pattern::Hot][pattern];
        let plan = Plan { overlap, pattern, read_ratio: 0.3, ..plan(12, depth, writes, seed) };
        let (outcome, chain) = run(plan, &volume);
        prop_assert_eq!(outcome.figures.bad_reads, 0, "{:?}", outcome.faults);
        prop_assert_eq!(outcome.figures.issued_writes, writes);
        prop_assert_eq!(&chain.parts[0].figures, &outcome.figures);
        prop_assert_eq!(chain.faults.len(), 0);
        prop_assert_eq!(verdicts(&chain, &volume), vec![]);
    }

    /// A volume that acknowledges a write and does not do it: lost, if the block was not written again.
    #[test]
    fn dropped_writes_are_lost(depth in 1usize..9, writes in 20u64..300, seed: u64, every in 2u64..20) {
        let volume = Arc::new(Memory { drop_every: Some(every), ..Memory::new(12) });
        let (_, chain) = run(plan(12, depth, writes, seed), &volume);
        let honest: Vec<Option<u64>> = (0..12).map(|block| newest(&volume, block)).collect();
        for block in 0..12u64 {
            let Judgement::Bad(fault) = chain.history.judge(block, &found(&volume, block)) else { continue };
            prop_assert_eq!(fault.verdict, Verdict::Lost);
            prop_assert!(fault.expected_seq > honest[block as usize]);
        }
        // Where the newest acknowledged write is not there, somebody must have said so: count both ways.
        let missing = (0..12u64)
            .filter(|block| last_acked(&chain, *block) > newest(&volume, *block))
            .count();
        prop_assert_eq!(verdicts(&chain, &volume).len(), missing);
    }

    #[test]
    fn planted_faults_are_found(depth in 1usize..5, seed: u64, at in 0u64..12, kind in 0..5) {
        let volume = Arc::new(Memory::new(12));
        let (_, chain) = run(plan(12, depth, 200, seed), &volume);
        let block = much_written(&volume, 3, at).unwrap();
        let now = volume.version(block, 0).unwrap();
        let older = volume.version(block, 1 + (seed % 2) as usize).unwrap();
        let (bad, expected) = match kind {
            0 => (older, Verdict::Lost),
            1 => (Block::default(), Verdict::Lost),
            2 => (mixed(&older, &now, 1 + (seed % 4095) as usize), Verdict::Torn),
            3 => (volume.version((block + 1) % 12, 0).unwrap(), Verdict::Misplaced),
            _ => (stamped(RUN + 1, block, 5), Verdict::Foreign),
        };
        prop_assume!(bad.0 != now.0 && stamp::read(&bad) != stamp::read(&now));
        prop_assume!(kind != 3 || matches!(stamp::read(&bad), Found::Whole(_)));
        prop_assume!(kind != 2 || matches!(stamp::read(&bad), Found::Torn(_)));
        volume.blocks.lock().unwrap()[block as usize].push(bad);
        prop_assert_eq!(verdicts(&chain, &volume), vec![(block, expected)]);
    }

    /// A write that failed without effect, and comes to life after another one was acknowledged there.
    #[test]
    fn failed_writes_that_come_late_are_resurrected(depth in 1usize..5, seed: u64, every in 3u64..10) {
        let volume = Arc::new(Memory { fail_every: Some(every), ..Memory::new(12) });
        let (_, chain) = run(plan(12, depth, 300, seed), &volume);
        let failed = volume.failed.lock().unwrap().clone();
        for (block, seq) in failed {
            let expected = if Some(seq) > last_acked(&chain, block) { None } else { Some(Verdict::Resurrected) };
            let late = stamp::read(&stamped(RUN, block, seq));
            let got = match chain.history.judge(block, &late) {
                Judgement::Bad(fault) => Some(fault.verdict),
                _ => None,
            };
            prop_assert_eq!(got, expected, "block {} write {}", block, seq);
        }
    }

    #[test]
    fn stale_reads_are_found_while_writing(depth in 1usize..5, seed: u64) {
        let volume = Arc::new(Memory { stale_every: Some(5), ..Memory::new(4) });
        let plan = Plan { read_ratio: 0.5, blocks: 4, depth: depth.min(4), ..plan(4, depth, 400, seed) };
        let (outcome, chain) = run(plan, &volume);
        prop_assert!(outcome.figures.bad_reads > 0);
        prop_assert_eq!(outcome.figures.bad_reads, chain.faults.len() as u64, "the record shows the same");
    }
}

fn stamped(run: u64, block: u64, seq: u64) -> Block {
    let mut data = Block::default();
    Stamp { run, block, seq }.fill(&mut data);
    data
}

fn mixed(first: &Block, second: &Block, cut: usize) -> Block {
    let mut data = second.clone();
    data.0[..cut].copy_from_slice(&first.0[..cut]);
    data
}

fn found(volume: &Memory, block: u64) -> Found {
    stamp::read(&volume.version(block, 0).unwrap())
}

/// The sequence that stands in `block`.
fn newest(volume: &Memory, block: u64) -> Option<u64> {
    match found(volume, block) {
        Found::Whole(stamp) => Some(stamp.seq),
        _ => None,
    }
}

/// The newest acknowledged write to `block`, as a judgement of nothing at all gives it away.
fn last_acked(chain: &Chain, block: u64) -> Option<u64> {
    match chain
        .history
        .judge(block, &stamp::read(&stamped(RUN + 1, block, 1)))
    {
        Judgement::Bad(fault) => fault.expected_seq,
        _ => None,
    }
}

/// A stream that takes so many bytes and then breaks.
struct Breaking {
    room: usize,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl io::Write for Breaking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = bytes.len().min(self.room);
        if take == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.room -= take;
        self.taken.lock().unwrap().extend_from_slice(&bytes[..take]);
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Wherever the stream breaks: the run ends with an error, and nothing stands on the volume that is not recorded.
#[test]
fn nothing_is_written_unrecorded() {
    for room in (1000..1400).step_by(7) {
        let volume = Arc::new(Memory::new(12));
        let taken = Arc::new(Mutex::new(Vec::new()));
        let recorder = Recorder::new(Box::new(Breaking {
            room,
            taken: taken.clone(),
        }));
        let history = yoke_torture::history::History::new(Rule::SingleFailure);
        let run = Run::start(plan(12, 3, 1000, 1), history, recorder, volume.clone()).unwrap();
        assert!(run.wait(Duration::from_secs(60)), "the run hangs");
        assert!(run.finish().is_err());
        let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        let announced = |seq: u64| {
            let wanted = [format!("i {seq} "), format!("u {seq} ")];
            text.lines()
                .any(|line| wanted.iter().any(|w| line.starts_with(w)))
        };
        for block in volume.blocks.lock().unwrap().iter().flatten() {
            if let Found::Whole(stamp) = stamp::read(block) {
                assert!(announced(stamp.seq), "write {} at {room}", stamp.seq);
            }
        }
    }
}

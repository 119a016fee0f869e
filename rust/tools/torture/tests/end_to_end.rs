// SPDX-License-Identifier: GPL-2.0
//! The program itself, on a file: killed in mid-write, stopped, chained, and lied to.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use yoke_torture::stamp::{self, Block, Found, Stamp};
use yoke_torture::BLOCK_SIZE;

const BLOCKS: u64 = 256;

/// A directory with a volume in it.
struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        // Beside the build, not in /tmp: that may be a file system without direct I/O.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bench = Bench { directory };
        File::create(bench.volume())
            .unwrap()
            .set_len(BLOCKS * BLOCK_SIZE as u64)
            .unwrap();
        bench
    }

    fn volume(&self) -> PathBuf {
        self.path("volume")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yoke-torture"));
        command.arg(what).arg("--device").arg(self.volume());
        command
    }

    /// Starts a write whose record goes through a pipe into `record`, as it would out of a machine.
    fn start(&self, record: &str, options: &[&str]) -> Child {
        self.command("write")
            .args(["--record", "-"])
            .args(options)
            .stdout(File::create(self.path(record)).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn write(&self, record: &str, options: &[&str]) -> Output {
        let mut command = self.command("write");
        command.arg("--record").arg(self.path(record)).args(options);
        command.output().unwrap()
    }

    fn verify(&self, records: &[&str], options: &[&str]) -> (i32, Value) {
        let mut command = self.command("verify");
        for record in records {
            command.arg("--record").arg(self.path(record));
        }
        let output = command.arg("--json").args(options).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::String(errors));
        (output.status.code().unwrap(), report)
    }

    fn read(&self, block: u64) -> Block {
        let mut data = Block::default();
        File::open(self.volume())
            .unwrap()
            .read_exact_at(&mut data.0, block * BLOCK_SIZE as u64)
            .unwrap();
        data
    }

    fn put(&self, block: u64, data: &Block) {
        let file = File::options().write(true).open(self.volume()).unwrap();
        file.write_all_at(&data.0, block * BLOCK_SIZE as u64)
            .unwrap();
    }
}

/// Waits until the record has this many lines.
fn wait_for_lines(record: &Path, lines: usize) {
    let limit = Instant::now() + Duration::from_secs(60);
    while std::fs::read_to_string(record).unwrap().lines().count() < lines {
        assert!(Instant::now() < limit, "no progress");
        std::thread::yield_now();
    }
}

fn number(report: &Value, name: &str) -> u64 {
    report[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn a_run_ends_in_order_and_is_clean() {
    let bench = Bench::new();
    let options = [
        "--depth",
        "4",
        "--writes",
        "2000",
        "--flush-every",
        "100",
        "--fua-ratio",
        "0.1",
        "--read-check",
        "0.2",
    ];
    let output = bench.write("record", &options);
    assert!(output.status.success(), "{output:?}");
    let (status, report) = bench.verify(&["record"], &[]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(number(&report, "acked_writes"), 2000);
    assert_eq!(number(&report, "blocks_checked"), BLOCKS);
    assert_eq!(report["records"][0]["complete"], true);
    assert!(number(&report["records"][0]["stall"], "us") > 0);
    assert_eq!(bench.verify(&["record"], &["--power-loss"]).0, 0);
}

#[test]
fn a_record_survives_the_sigkill_of_its_writer() {
    let bench = Bench::new();
    for depth in ["1", "16"] {
        let name = format!("record-{depth}");
        let _ = File::create(bench.volume())
            .unwrap()
            .set_len(BLOCKS * BLOCK_SIZE as u64);
        let mut child = bench.start(&name, &["--depth", depth]);
        wait_for_lines(&bench.path(&name), 2000);
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        let (status, report) = bench.verify(&[&name], &[]);
        assert_eq!(status, 0, "{report}");
        assert!(number(&report, "acked_writes") >= 900);
        assert_eq!(report["records"][0]["complete"], false);
        // The check must not be blind: take one acknowledged write away.
        bench.put(victim(&bench).0, &Block::default());
        let (status, report) = bench.verify(&[&name], &[]);
        assert_eq!((status, number(&report, "lost")), (1, 1), "{report}");
    }
}

/// A block that was written to, and what stands in it.
fn victim(bench: &Bench) -> (u64, Stamp) {
    (0..BLOCKS)
        .find_map(|block| match stamp::read(&bench.read(block)) {
            Found::Whole(stamp) if stamp.seq % 1000 != 0 => Some((block, stamp)),
            _ => None,
        })
        .expect("nothing was written")
}

#[test]
fn sigterm_ends_a_run_in_order() {
    let bench = Bench::new();
    let mut child = bench.start("record", &["--depth", "2"]);
    wait_for_lines(&bench.path("record"), 100);
    let status = Command::new("kill").arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
    assert!(child.wait().unwrap().success());
    assert_eq!(
        bench.verify(&["record"], &[]).1["records"][0]["complete"],
        true
    );
}

#[test]
fn each_planted_fault_has_its_verdict() {
    let bench = Bench::new();
    assert!(bench
        .write("record", &["--writes", "3000", "--run-id", "77"])
        .status
        .success());
    let (block, stamp) = victim(&bench);
    let good = bench.read(block);
    let plant = |data: Block, verdict: &str| {
        bench.put(block, &data);
        let (status, report) = bench.verify(&["record"], &[]);
        assert_eq!((status, number(&report, verdict)), (1, 1), "{report}");
        let example = &report["examples"][0];
        assert_eq!(number(example, "block"), block);
        assert_eq!(number(example, "expected_seq"), stamp.seq);
        assert_eq!(example["verdict"], verdict);
        bench.put(block, &good);
        assert_eq!(bench.verify(&["record"], &[]).0, 0);
    };
    let of = |stamp: Stamp| {
        let mut data = Block::default();
        stamp.fill(&mut data);
        data
    };
    plant(
        of(Stamp {
            seq: stamp.seq - 1,
            ..stamp
        }),
        "lost",
    );
    plant(
        of(Stamp {
            block: block + 1,
            ..stamp
        }),
        "misplaced",
    );
    plant(of(Stamp { run: 78, ..stamp }), "foreign");
    let mut torn = of(Stamp {
        seq: stamp.seq - 1,
        ..stamp
    });
    torn.0[512..].copy_from_slice(&good.0[512..]);
    plant(torn, "torn");
}

#[test]
fn a_chain_of_runs_finds_what_comes_back() {
    let bench = Bench::new();
    let record = |name: &str| bench.path(name).display().to_string();
    assert!(bench.write("one", &["--writes", "1000"]).status.success());
    let (block, old) = victim(&bench);
    let before = bench.read(block);
    let (one, seen) = (record("one"), record("seen"));
    assert_eq!(bench.verify(&["one"], &["--observe", &seen]).0, 0);
    let output = bench.write(
        "two",
        &[
            "--pattern",
            "seq",
            "--writes",
            "256",
            "--continue",
            &one,
            "--continue",
            &seen,
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let Found::Whole(new) = stamp::read(&bench.read(block)) else {
        panic!()
    };
    assert!(new.seq > old.seq && new.run != old.run);
    let chain = ["one", "seen", "two"];
    assert_eq!(bench.verify(&chain, &[]).0, 0);
    assert_eq!(
        bench.verify(&["one", "two"], &[]).0,
        2,
        "a record of the chain is missing"
    );
    assert_eq!(
        bench.verify(&["two"], &[]).0,
        2,
        "the beginning of the chain is missing"
    );
    assert_eq!(bench.verify(&chain, &["--observe", &record("seen-2")]).0, 0);
    bench.put(block, &before);
    let (status, report) = bench.verify(&["one", "seen", "two", "seen-2"], &[]);
    assert_eq!((status, number(&report, "resurrected")), (1, 1), "{report}");
}

#[test]
fn a_damaged_record_proves_nothing() {
    let bench = Bench::new();
    assert!(bench.write("record", &["--writes", "100"]).status.success());
    let text = std::fs::read_to_string(bench.path("record")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = [&lines[..50], &lines[51..]].concat().join("\n");
    std::fs::write(bench.path("damaged"), without).unwrap();
    let (status, report) = bench.verify(&["damaged"], &[]);
    assert_eq!(status, 2);
    assert!(
        report.to_string().contains("damaged at line 51"),
        "{report}"
    );
}

#[test]
fn a_record_without_an_acknowledged_write_proves_nothing() {
    let bench = Bench::new();
    assert!(bench.write("record", &["--writes", "100"]).status.success());
    let text = std::fs::read_to_string(bench.path("record")).unwrap();
    let before_the_first = text.find("\na ").unwrap() + 1;
    std::fs::write(bench.path("empty"), &text[..before_the_first]).unwrap();
    let (status, report) = bench.verify(&["empty"], &[]);
    assert_eq!(status, 2, "{report}");
    assert!(
        report.to_string().contains("no acknowledged write"),
        "{report}"
    );
    // A chain of which one record has some is judged, and so is an empty one on demand.
    assert_eq!(bench.verify(&["empty"], &["--allow-empty"]).0, 0);
    assert_eq!(bench.verify(&["record"], &[]).0, 0);
    std::fs::write(bench.path("nothing"), "").unwrap();
    assert_eq!(bench.verify(&["nothing"], &["--allow-empty"]).0, 2);
}

#[test]
fn wrong_input_is_refused_with_a_reason() {
    let bench = Bench::new();
    let refused = |options: &[&str], reason: &str| {
        let output = bench.write("refused", options);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(reason), "{text}");
        assert!(!bench.path("refused").exists());
    };
    refused(&["--blocks", "0..9999"], "has 256 blocks");
    refused(&["--blocks", "9..3"], "the range is empty");
    refused(&["--blocks", "4", "--depth", "8"], "too few for depth 8");
    refused(&["--depth", "0"], "depth");
    refused(&["--fua-ratio", "2"], "0 to 1");
    refused(&["--seconds", "nan"], "no time");
    refused(&["--continue", "/nonexistent"], "cannot open the record");
    std::fs::write(bench.path("existing"), "precious").unwrap();
    assert_eq!(bench.write("existing", &[]).status.code(), Some(2));
    assert_eq!(std::fs::read(bench.path("existing")).unwrap(), b"precious");
}

/// A record that cannot be written any more ends the run: nothing may be written unrecorded.
#[test]
fn a_run_ends_with_its_stream() {
    let bench = Bench::new();
    let mut child = bench
        .command("write")
        .args(["--record", "-", "--depth", "4"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("record"));
}

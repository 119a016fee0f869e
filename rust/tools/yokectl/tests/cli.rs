// SPDX-License-Identifier: GPL-2.0
//! yokectl as a person calls it, on copies of the attribute trees in a temporary directory.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use yoke_core::disk::layout::node_block_at;
use yoke_core::disk::node_block::{Lease, Record, RecordState, Shadow};
use yoke_core::disk::{NodeBlock, Superblock};
use yoke_core::ids::{Epoch, Generation, Incarnation, NodeId};
use yoke_core::terms::Terms;

const APPLIANCE: &str = "6f3f3c64-9bd5-4f0e-8f3c-0a51c9a0d111";

struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Machine {
            root: tempfile::tempdir().unwrap(),
        };
        for dir in [
            "sys/kernel/config/yoke/links",
            "sys/kernel/config/yoke/volumes",
            "sys/module/yoke",
            "sys/block",
        ] {
            fs::create_dir_all(machine.root.path().join(dir)).unwrap();
        }
        machine.put("sys/kernel/config/yoke/appliance", APPLIANCE);
        machine.put("sys/kernel/config/yoke/node", "0");
        machine
    }

    fn put(&self, path: &str, value: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{value}\n")).unwrap();
    }

    fn volume(&self, values: &[(&str, &str)]) {
        for (file, value) in values {
            self.put(&format!("sys/block/yoke0/yoke/{file}"), value);
        }
    }

    fn run(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_yokectl"))
            .args(args)
            .env("YOKECTL_ROOT", self.root.path())
            .output()
            .unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn disk(dir: &Path, mib: u64) -> String {
    let path = dir.join("disk");
    fs::File::create(&path).unwrap().set_len(mib << 20).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn without_the_module_every_command_says_so_with_status_4() {
    let machine = Machine::new();
    fs::remove_dir_all(machine.root.path().join("sys/kernel/config/yoke")).unwrap();
    fs::remove_dir_all(machine.root.path().join("sys/module/yoke")).unwrap();
    for args in [
        &["status"][..],
        &["link", "list"],
        &["volume", "list"],
        &["takeover", "v"],
    ] {
        let output = machine.run(args);
        assert_eq!(output.status.code(), Some(4), "{args:?}");
        assert!(text(&output.stderr).contains("insmod"), "{args:?}");
    }
}

#[test]
fn status_says_why_a_takeover_would_not_work() {
    let machine = Machine::new();
    machine.put("sys/class/yoke_link/l0/state", "up");
    machine.put("sys/class/yoke_peer/1/state", "ready");
    machine.volume(&[
        ("name", "vol0"),
        ("role", "owner"),
        ("state", "solo"),
        ("takeover_possible", "no: the partner has no copy"),
    ]);
    let output = machine.run(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout)
        .contains("volume vol0 could not be taken over now: the partner has no copy"));
    // What else is wrong is not kept back.
    machine.volume(&[("reason", "the backing disk is too slow")]);
    assert!(text(&machine.run(&["doctor"]).stdout)
        .contains("the partner has no copy; here: the backing disk is too slow"));
    machine.volume(&[
        ("takeover_possible", "yes"),
        ("mirror", "no"),
        ("reason", "the partner has granted no region"),
    ]);
    for command in ["status", "doctor"] {
        let output = machine.run(&[command]);
        assert_eq!(output.status.code(), Some(3), "{command}");
        let said = text(&output.stdout);
        assert!(said.contains("vol0 is solo, not mirrored: the partner has granted no region"));
        assert!(command == "status" || said.contains("-> open the volume on the partner too"));
    }
    machine.volume(&[("state", "mirrored"), ("mirror", "yes"), ("reason", "")]);
    let output = machine.run(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["volumes"][0]["takeover_possible"], true);
    assert_eq!(status["degraded"].as_array().unwrap().len(), 0);
    // When whoever took over would write, in short and with the reason.
    let why = "after 30052 ms: the backing disk has no reservations";
    machine.volume(&[("takeover_writes", why)]);
    let short = text(&machine.run(&["status"]).stdout).contains("yes, writes after 30052 ms");
    assert!(short);
    let said = text(&machine.run(&["doctor"]).stdout).contains(&format!("and write {why}"));
    assert!(said);
}

#[test]
fn the_doctor_names_a_memory_that_did_not_keep_what_was_in_it() {
    let machine = Machine::new();
    machine.volume(&[
        ("name", "vol0"),
        ("takeover_possible", "yes"),
        ("stats", "waiting 0\ndropped 0"),
    ]);
    let said = text(&machine.run(&["doctor"]).stdout);
    assert!(!said.contains("memory"), "{said}");
    machine.volume(&[("stats", "waiting 0\ndropped 2")]);
    let output = machine.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stdout);
    assert!(
        said.contains("vol0 has dropped 2 slots of the owner that died"),
        "{said}"
    );
}

#[test]
fn the_doctor_names_what_takes_a_registration_away_again_and_again() {
    let machine = Machine::new();
    machine.volume(&[
        ("name", "vol0"),
        ("device", "/dev/nvme0n1"),
        ("takeover_possible", "yes"),
        ("stats", "io_errors 0\nregistrations 5\nwaiting 0"),
    ]);
    let said = text(&machine.run(&["doctor"]).stdout);
    assert!(!said.contains("registration"), "{said}");
    machine.volume(&[("stats", "io_errors 0\nregistrations 6\nwaiting 0")]);
    let output = machine.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stdout);
    assert!(
        said.contains("vol0 has lost this controller's registration at /dev/nvme0n1 5 times"),
        "{said}"
    );
    assert!(said.contains("NVMe host id"), "{said}");
}

#[test]
fn a_dry_run_answers_and_writes_nothing() {
    let machine = Machine::new();
    machine.put("sys/kernel/config/yoke/volumes/vol0/command", "untouched");
    machine.volume(&[
        ("name", "vol0"),
        ("role", "standby"),
        ("takeover_possible", "no: the owner is alive"),
    ]);
    let output = machine.run(&["takeover", "vol0", "--dry-run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("would not work now: the owner is alive"));
    machine.volume(&[("takeover_possible", "yes")]);
    assert_eq!(
        machine
            .run(&["takeover", "vol0", "--dry-run"])
            .status
            .code(),
        Some(0)
    );
    let command = machine
        .root
        .path()
        .join("sys/kernel/config/yoke/volumes/vol0/command");
    assert_eq!(fs::read_to_string(command).unwrap(), "untouched\n");
}

#[test]
fn node_writes_identity_and_heartbeats_and_only_what_was_said() {
    let machine = Machine::new();
    let value = |file: &str| {
        let path = machine.root.path().join("sys/kernel/config/yoke");
        fs::read_to_string(path.join(file)).unwrap()
    };
    machine.put("sys/kernel/config/yoke/beat_interval_us", "10000");
    machine.put("sys/kernel/config/yoke/beats_missed", "5");
    let identity = ["node", "--appliance", APPLIANCE, "--node", "3"];
    let done = machine.run(&[&identity[..], &["--beats-missed", "15"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(value("node"), "3\n");
    assert_eq!(value("beat_interval_us"), "10000\n");
    assert_eq!(value("beats_missed"), "15\n");
    for wrong in [["--beats-missed", "1"], ["--beat-interval-us", "99"]] {
        let output = machine.run(&[&identity[..], &wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(value("beats_missed"), "15\n");
}

#[test]
fn a_new_volume_is_made_on_an_empty_disk_and_on_nothing_else() {
    let machine = Machine::new();
    let disk = disk(machine.root.path(), 8);
    let made = machine.run(&["volume", "create", "vol0", "--device", &disk]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let before = fs::read(&disk).unwrap();
    for number in 0..64 {
        let node = NodeId::new(number).unwrap();
        let copy = |sequence| {
            let at = node_block_at(node, sequence) as usize * 4096;
            let block: &[u8; 4096] = before[at..][..4096].try_into().unwrap();
            *block
        };
        let superblock = Superblock::parse(0, before[..4096].try_into().unwrap()).unwrap();
        let newest =
            NodeBlock::parse_copies(&superblock.identity, node, &copy(0), &copy(1)).unwrap();
        assert_eq!(newest.contents, NodeBlock::blank(node, 1));
    }
    let again = machine.run(&["volume", "create", "vol1", "--device", &disk]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("holds the volume \"vol0\" of this appliance"));
    assert_eq!(fs::read(&disk).unwrap(), before);
    let forced = machine.run(&["volume", "create", "vol1", "--device", &disk, "--force"]);
    assert_eq!(forced.status.code(), Some(0));
    assert_ne!(fs::read(&disk).unwrap(), before);
}

#[test]
fn a_disk_with_data_or_too_small_is_refused_untouched() {
    let machine = Machine::new();
    let path = disk(machine.root.path(), 8);
    let mut data = vec![0u8; 8 << 20];
    data[1080..1082].copy_from_slice(&[0x53, 0xef]);
    fs::write(&path, &data).unwrap();
    let output = machine.run(&["volume", "create", "vol0", "--device", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("ext4"));
    assert_eq!(fs::read(&path).unwrap(), data);
    fs::File::create(&path).unwrap().set_len(2 << 20).unwrap();
    let output = machine.run(&["volume", "create", "vol0", "--device", &path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("larger disk"));
}

#[test]
fn what_stood_at_the_end_of_a_disk_is_gone_and_the_volume_ends_before_it() {
    let machine = Machine::new();
    let path = disk(machine.root.path(), 8);
    let mut data = vec![0u8; 8 << 20];
    data[(8 << 20) - 4096..].fill(0x77);
    fs::write(&path, &data).unwrap();
    let create = ["volume", "create", "vol0", "--device", &path, "--force"];
    let output = machine.run(&create);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains(&format!("of {} bytes", 6 << 20)));
    let made = fs::read(&path).unwrap();
    assert!(made[7 << 20..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_refused_step_takes_the_new_item_back() {
    let machine = Machine::new();
    // A directory in the place of an attribute refuses the write, as the kernel would refuse the value.
    let links = machine.root.path().join("sys/kernel/config/yoke/links");
    fs::remove_dir(&links).unwrap();
    fs::write(&links, "").unwrap();
    let output = machine.run(&["link", "add", "l0", "--device", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot make link l0"));
    assert_eq!(
        machine
            .run(&["link", "add", "../x", "--device", "x"])
            .status
            .code(),
        Some(2)
    );
}

/// Writes the block of node 0 on a volume's disk, as its owner would.
fn serve(disk: &str, sequence: u64, state: RecordState, counter: u64) {
    serve_with(
        disk,
        sequence,
        state,
        counter,
        Terms::new(1_000_000, 1_000_000),
    );
}

/// The same, with what the record promises.
fn serve_with(disk: &str, sequence: u64, state: RecordState, counter: u64, terms: Terms) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(disk)
        .unwrap();
    let mut head = [0; 4096];
    file.read_exact_at(&mut head, 0).unwrap();
    let identity = Superblock::parse(0, &head).unwrap().identity;
    let node = NodeId::new(0).unwrap();
    let block = NodeBlock {
        incarnation: Incarnation::new(7),
        lease: Lease {
            counter,
            expiry_ms: 300,
        },
        record: Record {
            generation: Generation::new(1),
            state,
            terms,
        },
        ..NodeBlock::blank(node, sequence)
    };
    block.encode(&identity, &mut head);
    file.write_all_at(&head, node_block_at(node, sequence) * 4096)
        .unwrap();
}

/// How often an owner that lives renews its lease.
const RENEWAL: std::time::Duration = std::time::Duration::from_millis(100);

#[test]
fn no_force_overwrites_a_volume_that_lives() {
    let machine = Machine::new();
    let disk = disk(machine.root.path(), 8);
    let create = |more: &[&str]| {
        let words = [
            &["volume", "create", "vol1", "--device", &disk, "--force"][..],
            more,
        ];
        machine.run(&words.concat())
    };
    assert_eq!(create(&[]).status.code(), Some(0));
    // Its owner renews its lease. That it may have to be discarded does not matter.
    serve(&disk, 2, RecordState::Disk, 1);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let path = disk.clone();
    let owner = std::thread::spawn(move || {
        let mut at = 2;
        // Until it is told to stop.
        while stopped.recv_timeout(RENEWAL) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            at += 1;
            serve(&path, at, RecordState::Disk, at);
        }
        at
    });
    for more in [&[][..], &["--discard-shadow"]] {
        let refused = create(more);
        assert_eq!(refused.status.code(), Some(1));
        let said = text(&refused.stderr);
        assert!(said.contains("serves at this moment: the block of node 0 moves"));
    }
    drop(stop);
    let at = owner.join().unwrap();
    // It has a partner now, and does not touch the disk.
    let shadow = Shadow {
        holder: NodeId::new(1).unwrap(),
        holder_incarnation: Incarnation::new(9).unwrap(),
        epochs: std::array::from_fn(|at| Epoch::new(5).filter(|_| at == 0)),
    };
    serve(&disk, at + 1, RecordState::Shadow(shadow), at);
    let refused = create(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("in the memories of node 0 and node 1"));
    assert_eq!(create(&["--discard-shadow"]).status.code(), Some(0));
    // A survivor that died before it was done: it would have renewed its lease.
    let holder = NodeId::new(0).unwrap();
    serve(
        &disk,
        2,
        RecordState::Shadow(Shadow { holder, ..shadow }),
        1,
    );
    assert_eq!(create(&[]).status.code(), Some(0));
    // Closed properly: at once.
    serve(&disk, 2, RecordState::Released, 1);
    assert_eq!(create(&[]).status.code(), Some(0));
    assert_eq!(create(&[]).status.code(), Some(0));
}

#[test]
fn a_giveback_names_who_holds_the_disk() {
    let machine = Machine::new();
    machine.put("sys/kernel/config/yoke/volumes/vol0/enable", "1");
    machine.volume(&[
        ("name", "vol0"),
        ("role", "owner"),
        ("owner", "0"),
        ("stateless", "no"),
        ("takeover_possible", "yes"),
    ]);
    let dry = |more: &[&str]| {
        let words = [&["giveback", "vol0", "--dry-run"][..], more].concat();
        machine.run(&words)
    };
    assert_eq!(dry(&[]).status.code(), Some(0));
    machine.put("sys/block/yoke0/dev", "259:3");
    machine.put("sys/block/yoke0/holders/dm-4/dev", "253:4");
    machine.put(
        "proc/self/mountinfo",
        "29 1 259:30 / /other rw - ext4 /dev/yoke1 rw\n\
         30 1 259:3 / /srv/data rw,relatime shared:5 - xfs /dev/yoke0 rw",
    );
    machine.put("proc/812/comm", "fio");
    let fd = machine.root.path().join("proc/812/fd");
    fs::create_dir_all(&fd).unwrap();
    std::os::unix::fs::symlink("/dev/yoke0", fd.join("4")).unwrap();
    machine.put("proc/813/comm", "late");
    let fd = machine.root.path().join("proc/813/fd");
    fs::create_dir_all(&fd).unwrap();
    std::os::unix::fs::symlink("/dev/yoke0 (deleted)", fd.join("4")).unwrap();
    let held = dry(&[]);
    assert_eq!(held.status.code(), Some(1));
    let said = text(&held.stdout);
    let who = "held: mounted on /srv/data (xfs), held by dm-4, open in process 812 (fio)\n";
    assert!(said.contains(who), "{said}");
    assert_eq!(dry(&["--force"]).status.code(), Some(0));
    machine.volume(&[("stateless", "yes")]);
    assert_eq!(dry(&[]).status.code(), Some(0));
}

#[test]
fn a_giveback_is_taken_back_and_one_that_takes_too_long_takes_itself_back() {
    let machine = Machine::new();
    machine.put("sys/kernel/config/yoke/volumes/vol0/command", "");
    machine.volume(&[
        ("name", "vol0"),
        ("role", "owner"),
        ("owner", "0"),
        ("generation", "7"),
        ("stateless", "no"),
        ("takeover_possible", "yes"),
    ]);
    let told = || {
        let command = machine
            .root
            .path()
            .join("sys/kernel/config/yoke/volumes/vol0/command");
        fs::read_to_string(command).unwrap()
    };
    let aborted = machine.run(&["giveback", "vol0", "--abort"]);
    assert_eq!(aborted.status.code(), Some(0));
    assert_eq!(told(), "abort-giveback\n");
    assert_eq!(
        text(&aborted.stdout),
        "vol0 is not given back or closed any more: node 0 owns it, generation 7\n"
    );
    // Nothing happens here, whatever it is told.
    let late = machine.run(&["giveback", "vol0", "--timeout", "0"]);
    assert_eq!(late.status.code(), Some(1));
    assert_eq!(told(), "abort-giveback\n");
    assert!(text(&late.stderr).contains("it was taken back: this controller serves on"));
    for more in ["--force", "--dry-run"] {
        let both = machine.run(&["giveback", "vol0", "--abort", more]);
        assert_eq!(both.status.code(), Some(2), "{more}");
    }
}

#[test]
fn completion_and_man_page_are_printed() {
    let machine = Machine::new();
    assert!(text(&machine.run(&["completions", "bash"]).stdout).contains("yokectl"));
    assert!(text(&machine.run(&["man"]).stdout).contains(".TH yokectl"));
}

#[test]
fn times_shorter_than_what_the_owner_promised_are_refused() {
    let machine = Machine::new();
    machine.put("sys/kernel/config/yoke/node", "1");
    let disk = disk(machine.root.path(), 8);
    let create = ["volume", "create", "vol1", "--device", &disk];
    assert_eq!(machine.run(&create).status.code(), Some(0));
    let open = |more: &[&str]| {
        let words = [&["volume", "open", "vol1", "--device", &disk][..], more];
        machine.run(&words.concat())
    };
    let shorter = ["--link-lease-ms", "5", "--t-io-ms", "5"];
    // Nobody owns it: there is no promise. (Here there is no kernel either, so no attribute can be written.)
    let output = open(&shorter);
    assert!(!text(&output.stderr).contains("has promised"));
    serve_with(
        &disk,
        2,
        RecordState::Disk,
        1,
        Terms::new(800_000_000, 1_000_000),
    );
    let output = open(&shorter);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("--link-lease-ms is shorter than the 800 ms that the volume's owner, node 0, has promised"), "{said}");
    assert!(
        said.contains("the longer one of both controllers counts"),
        "{said}"
    );
    for more in [
        &["--link-lease-ms", "800"][..],
        &["--link-lease-ms", "900"],
        &[],
    ] {
        assert!(!text(&open(more).stderr).contains("has promised"));
    }
    // The owner itself may open it with other times after a restart.
    machine.put("sys/kernel/config/yoke/node", "0");
    assert!(!text(&open(&shorter).stderr).contains("has promised"));
}

#[test]
fn corrupt_blocks_are_given_up_by_their_number() {
    let machine = Machine::new();
    machine.put("sys/kernel/config/yoke/volumes/vol1/command", "");
    machine.volume(&[("name", "vol1"), ("corrupt_blocks", "3")]);
    let forget = |blocks| machine.run(&["volume", "forget-corrupt", "vol1", "--blocks", blocks]);
    let refused = forget("2");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("has 3 corrupt blocks, not 2; nothing was changed"));
    let command = machine
        .root
        .path()
        .join("sys/kernel/config/yoke/volumes/vol1/command");
    assert_eq!(fs::read_to_string(&command).unwrap().trim(), "");
    assert_eq!(forget("3").status.code(), Some(0));
    assert_eq!(
        fs::read_to_string(&command).unwrap().trim(),
        "forget-corrupt"
    );
}

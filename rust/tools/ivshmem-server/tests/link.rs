// SPDX-License-Identifier: GPL-2.0
//! A whole server process, with test clients that speak the protocol as QEMU does.

mod support;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{json, Value};
use support::{Machine, Running, SOON};

/// Long enough for a doorbell that was sent to arrive, if it was going to: a ring in the
/// same direction that is known to pass has arrived after it.
fn nothing_heard_before(hearer: &Machine, rung: u16, passes: u16, ringer: &Machine) {
    ringer.ring(hearer.id, passes);
    assert!(hearer.hears(passes), "the doorbell that passes");
    assert!(!hearer.heard(rung), "a doorbell that was to be lost");
}

#[test]
fn both_sides_get_their_ids_the_same_memory_and_each_others_doorbells() {
    let server = Running::start(&[]);
    let b = server.connect(1);
    let mut a = server.connect(0);
    assert_eq!((a.id, b.id), (0, 1));
    a.await_peer(1);
    let mut b = b;
    b.await_peer(0);
    a.write_memory(8 << 20, b"over the bridge");
    assert_eq!(b.read_memory(8 << 20, 15), b"over the bridge");
    assert_eq!(a.read_memory(0, 8), b"YOKEVSHM");
    for vector in 0..support::VECTORS {
        a.ring(1, vector);
        assert!(b.hears(vector), "vector {vector} of side 1");
        b.ring(0, vector);
        assert!(a.hears(vector), "vector {vector} of side 0");
    }
    assert_eq!(server.status()["doorbells_passed"], 2 * support::VECTORS);
}

#[test]
fn a_machine_that_starts_again_has_the_same_id_and_its_old_doorbells_ring_nobody() {
    let server = Running::start(&[]);
    let (a, b) = server.connect_both();
    a.ring(1, 1);
    assert!(b.hears(1));
    let old_a = a.doorbells_of(1);
    drop(a.hang_up());
    server.await_gone(0);
    b.ring(0, 3);

    let mut a = server.connect(0);
    assert_eq!(a.id, 0);
    a.await_peer(1);
    support::ring(&old_a[2]);
    nothing_heard_before(&b, 2, 1, &a);
    b.ring(0, 3);
    assert!(
        a.hears(3),
        "the bells of the one that stayed lead to the new machine"
    );
    assert!(b.was_told_nothing());
    assert_eq!(server.status()["sides"][0]["connects"], 2);
}

#[test]
fn a_new_connection_replaces_a_stale_one() {
    let server = Running::start(&[]);
    let (stale, b) = server.connect_both();
    // The machine is stopped, say: it still has its connection.
    let mut a = server.connect(0);
    a.await_peer(1);
    assert!(stale.is_hung_up());
    support::ring(&stale.doorbells_of(1)[2]);
    nothing_heard_before(&b, 2, 1, &a);
    b.ring(0, 1);
    assert!(a.hears(1));
    assert!(
        !stale.heard(1),
        "the stale machine hears what is meant for the new one"
    );
}

#[test]
fn a_cut_counts_first_rings_both_sides_and_lets_nothing_through() {
    let server = Running::start(&["--min-down-ms", "150"]);
    let (a, b) = server.connect_both();
    assert_eq!(a.u32_at(0x18), 150_000);
    assert_eq!((a.u32_at(0x0c), a.u64_at(0x10)), (0, 0));

    let before = Instant::now();
    let status = server.ask(&json!({"cmd": "cut"}));
    assert_eq!(
        (status["cut"].clone(), status["down_count"].clone()),
        (json!(true), json!(1))
    );
    assert_eq!((a.u32_at(0x0c), a.u64_at(0x10)), (1, 1));
    assert!(a.hears(0) && b.hears(0), "the link event of the cut");
    a.ring(1, 1);

    let status = server.ask(&json!({"cmd": "mend"}));
    assert!(
        before.elapsed() >= Duration::from_millis(150),
        "the mend showed after {:?}",
        before.elapsed()
    );
    assert_eq!(status["cut"], false);
    assert_eq!((a.u32_at(0x0c), a.u64_at(0x10)), (0, 1));
    assert!(a.hears(0) && b.hears(0), "the link event of the mend");
    nothing_heard_before(&b, 1, 2, &a);
    assert_eq!(server.status()["doorbells_dropped"], 1);
}

#[test]
fn a_cut_calls_off_a_mend_that_waits() {
    let server = Running::start(&["--min-down-ms", "20000"]);
    server.ask(&json!({"cmd": "cut"}));
    let mut mender = server.control();
    mender
        .write_all(b"{\"cmd\":\"mend\"}\n{\"cmd\":\"status\"}\n")
        .unwrap();
    // The mend is under way once another client's request, sent after it, is answered.
    server.status();
    server.ask(&json!({"cmd": "cut"}));
    let answers = support::read_lines(&mender, 2);
    assert!(
        answers[0]["error"].as_str().unwrap().contains("cut again"),
        "{answers:?}"
    );
    assert_eq!(answers[1]["status"]["cut"], true);
    assert_eq!(answers[1]["status"]["down_count"], 1);
}

#[test]
fn doorbells_are_dropped_by_number_and_altogether() {
    let server = Running::start(&[]);
    let (a, b) = server.connect_both();
    server.ask(&json!({"cmd": "drop-doorbells", "count": 2}));
    for vector in [1, 2] {
        a.ring(1, vector);
        server.await_status(|s| s["doorbells_dropped"] == vector);
    }
    nothing_heard_before(&b, 1, 3, &a);
    assert!(!b.heard(2));
    server.ask(&json!({"cmd": "drop-doorbells", "count": "all"}));
    b.ring(0, 1);
    server.await_status(|s| s["doorbells_dropped"] == 3);
    server.ask(&json!({"cmd": "drop-doorbells", "count": "none"}));
    nothing_heard_before(&a, 1, 2, &b);
}

#[test]
fn doorbells_are_delayed() {
    let server = Running::start(&[]);
    let (a, b) = server.connect_both();
    server.ask(&json!({"cmd": "delay-doorbells", "ms": 120}));
    let begin = Instant::now();
    a.ring(1, 4);
    assert!(b.hears(4));
    assert!(
        begin.elapsed() >= Duration::from_millis(120),
        "{:?}",
        begin.elapsed()
    );
    // What is held when the link is cut never arrives.
    server.ask(&json!({"cmd": "delay-doorbells", "ms": 60000}));
    a.ring(1, 5);
    server.await_status(|s| s["doorbells_held"] == 1);
    let status = server.ask(&json!({"cmd": "cut"}));
    assert_eq!(
        (
            status["doorbells_held"].clone(),
            status["doorbells_dropped"].clone()
        ),
        (json!(0), json!(1))
    );
}

#[test]
fn malformed_requests_are_answered_and_change_nothing() {
    let server = Running::start(&[]);
    let (a, _b) = server.connect_both();
    let mut client = server.control();
    client.write_all(b"cut\n\n{\"cmd\":\"cut\",\"x\":1}\n\xff\xff\n{\"cmd\":\"delay-doorbells\",\"ms\":-1}\n").unwrap();
    for answer in support::read_lines(&client, 5) {
        assert_eq!(answer["ok"], false, "{answer}");
        assert!(answer["error"].as_str().unwrap().len() > 20, "{answer}");
    }
    // The same connection still serves, and an endless line ends only its own.
    client.write_all(b"{\"cmd\":\"status\"}\n").unwrap();
    assert_eq!(support::read_lines(&client, 1)[0]["ok"], true);
    let mut endless = server.control();
    // The server may hang up before it has all of it.
    let _ = endless.write_all(&vec![b' '; 1 << 20]);
    assert_eq!(server.status()["cut"], false);
    assert_eq!((a.u32_at(0x0c), a.u64_at(0x10)), (0, 0));
}

#[test]
fn a_machine_that_speaks_out_of_turn_is_dropped() {
    let server = Running::start(&[]);
    let (mut a, b) = server.connect_both();
    a.speak(b"hello");
    server.await_gone(0);
    assert!(b.was_told_nothing());
}

#[test]
fn sixty_four_sides_fit_the_protocol() {
    let server = Running::start_sides(64, &["--vectors", "2", "--size", "128M"]);
    let mut machines: Vec<Machine> = (0..64).map(|side| server.connect(side)).collect();
    for (side, machine) in (0u16..).zip(&machines) {
        assert_eq!(machine.id, side);
    }
    machines[0].await_peer(63);
    let (first, last) = (&machines[0], &machines[63]);
    first.ring(63, 1);
    assert!(last.hears(1));
}

#[test]
fn bad_settings_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (zero, one, control) = (
        format!("0={}", path("0")),
        format!("1={}", path("1")),
        path("c"),
    );
    for (arguments, reason) in [
        (
            vec!["--side", &zero, "--control", &control],
            "at least 2 sides",
        ),
        (
            vec!["--side", &zero, "--side", &zero, "--control", &control],
            "each number once",
        ),
        (
            vec![
                "--side",
                &zero,
                "--side",
                &one,
                "--control",
                &control,
                "--size",
                "1M",
            ],
            "--size",
        ),
        (
            vec![
                "--side",
                &zero,
                "--side",
                &one,
                "--control",
                &control,
                "--size",
                "3M",
            ],
            "power of two",
        ),
        (
            vec![
                "--side",
                &zero,
                "--side",
                &one,
                "--control",
                "/nonexistent/c",
            ],
            "cannot listen",
        ),
    ] {
        let done = support::server_command().args(&arguments).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            !done.status.success() && said.contains(reason),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn sigterm_removes_the_sockets() {
    let mut server = Running::start(&[]);
    let paths = server.socket_paths();
    assert!(paths.iter().all(|path| path.exists()));
    server.terminate();
    assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
    assert!(UnixStream::connect(&paths[0]).is_err());
}

/// What it costs that the server stands between; run by hand:
/// `cargo test --release -p yoke-ivshmem-server -- --ignored --nocapture latency`.
#[test]
#[ignore = "a measurement"]
fn latency_of_a_doorbell_through_the_server() {
    let server = Running::start(&[]);
    let (a, b) = server.connect_both();
    let through = support::round_trips(
        &a.doorbells_of(1)[1],
        b.ear(1),
        &b.doorbells_of(0)[1],
        a.ear(1),
    );
    let (one, other) = (support::new_eventfd(), support::new_eventfd());
    let direct = support::round_trips(&one, &one, &other, &other);
    println!("round trip: through the server {through:?}, direct {direct:?}");
    let _: Value = server.status();
    assert!(through < SOON);
}

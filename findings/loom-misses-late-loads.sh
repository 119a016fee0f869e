#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# loom never lets a load take effect after a store that follows it, so it cannot see a missing Release behind a load.
#
# Guess: loom tries every behaviour that the memory model allows; a consumer that gives a slot back with a Relaxed store
# after it has read the slot is found: the producer may overwrite the slot before it is read.
# Is: where the slot's contents are atomics, the run is clean, with Relaxed as with Release: loom runs each thread in program
# order, and lets loads see old values but never values from the future (the outcome 1, 1 of the test "load buffering" is not
# among those it tries). Where the contents are a loom UnsafeCell the mistake is found, because the two accesses are unordered.
# Why it matters: memory that is shared with a peer is reached by atomic words; a model of a ring or slot over atomics proves
# nothing about "read, then give back". Such a model has to shadow each slot by an UnsafeCell that it touches with it.
# Tried: loom 0.7.2.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
mkdir src
cat > Cargo.toml << 'END'
[package]
name = "finding_loom"
version = "0.0.0"
edition = "2021"
resolver = "3"

[dependencies]
loom = "=0.7.2"
END
cat > src/main.rs << 'END'
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering, Ordering::*};
use loom::sync::Arc;
use loom::thread;
use std::collections::BTreeSet;
use std::sync::Mutex;

struct Slot {
    word: AtomicUsize,
    cell: UnsafeCell<usize>,
    filled: AtomicUsize,
    given_back: AtomicUsize,
}
// SAFETY: what loom is here to judge.
unsafe impl Sync for Slot {}

/// One slot, filled, read, given back, and filled again. Returns whether loom found fault.
fn slot(give_back: Ordering, with_cell: bool) -> bool {
    std::panic::catch_unwind(|| {
        loom::model(move || {
            let slot = Arc::new(Slot {
                word: AtomicUsize::new(0),
                cell: UnsafeCell::new(0),
                filled: AtomicUsize::new(0),
                given_back: AtomicUsize::new(0),
            });
            let consumer = {
                let slot = slot.clone();
                thread::spawn(move || {
                    if slot.filled.load(Acquire) == 1 {
                        let read = slot.word.load(Relaxed);
                        if with_cell {
                            slot.cell.with(|p| unsafe { *p });
                        }
                        slot.given_back.store(1, give_back);
                        assert_eq!(read, 1, "the slot was overwritten before it was read");
                    }
                })
            };
            let fill = |value| {
                slot.word.store(value, Relaxed);
                if with_cell {
                    slot.cell.with_mut(|p| unsafe { *p = value });
                }
            };
            fill(1);
            slot.filled.store(1, Release);
            if slot.given_back.load(Acquire) == 1 {
                fill(2);
            }
            consumer.join().unwrap();
        })
    })
    .is_err()
}

/// Each thread loads one word, then stores the other.
fn load_buffering() -> BTreeSet<(usize, usize)> {
    let seen: &'static Mutex<BTreeSet<_>> = Box::leak(Box::default());
    loom::model(move || {
        let words = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let other = {
            let words = words.clone();
            thread::spawn(move || {
                let read = words.0.load(Relaxed);
                words.1.store(1, Relaxed);
                read
            })
        };
        let read = words.1.load(Relaxed);
        words.0.store(1, Relaxed);
        seen.lock().unwrap().insert((other.join().unwrap(), read));
    });
    seen.lock().unwrap().clone()
}

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    let relaxed = slot(Relaxed, false);
    let relaxed_cell = slot(Relaxed, true);
    let release_cell = slot(Release, true);
    let outcomes = load_buffering();
    println!("given back Relaxed, contents atomic: fault found: {relaxed}");
    println!("given back Relaxed, contents also an UnsafeCell: fault found: {relaxed_cell}");
    println!("given back Release, contents also an UnsafeCell: fault found: {release_cell}");
    println!("load buffering, outcomes tried: {outcomes:?}");
    let as_found = !relaxed && relaxed_cell && !release_cell && !outcomes.contains(&(1, 1));
    println!("{}", if as_found { "as found: no load is late" } else { "changed" });
    std::process::exit(i32::from(!as_found));
}
END
cargo --version
cargo run --quiet

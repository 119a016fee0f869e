#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# redb reads all that a database holds when it is opened after a crash.
#
# Guess: a copy-on-write tree with two commit slots needs no recovery: opening costs the same after a crash as after a close.
# Is: what a close leaves behind (which pages are in use) is missing after a crash; opening walks and checks every page in use, tens of
# megabytes here against half a one after a close. With set_quick_repair(true) for the last commit it does not, and
# each such commit writes more.
# Why it matters: a new Primary opens the set's database after its old one died, always "after a crash", in the middle of a
# takeover. The time grows with the database and not with what changed. Commit with quick repair, and keep it small.
# Tried: redb 2.6.3.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
mkdir src
cat > Cargo.toml << 'END'
[package]
name = "finding_redb"
version = "0.0.0"
edition = "2021"
resolver = "3"

[dependencies]
redb = "=2.6.3"
END
cat > src/main.rs << 'END'
use redb::{Database, StorageBackend, TableDefinition};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("table");

/// A disk in memory that counts what is read and written.
#[derive(Debug, Default)]
struct Disk {
    bytes: Mutex<Vec<u8>>,
    read: AtomicU64,
    written: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Handle(Arc<Disk>);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.bytes.lock().unwrap().len() as u64)
    }
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.0.read.fetch_add(len as u64, SeqCst);
        Ok(self.0.bytes.lock().unwrap()[offset as usize..][..len].to_vec())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.written.fetch_add(data.len() as u64, SeqCst);
        self.0.bytes.lock().unwrap()[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn put(db: &Database, first: u64, count: u64, quick: bool) {
    let mut transaction = db.begin_write().unwrap();
    transaction.set_quick_repair(quick);
    {
        let mut table = transaction.open_table(TABLE).unwrap();
        for key in first..first + count {
            table.insert(key, &[7; 1000][..]).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// What opening a disk with these bytes reads.
fn opening(bytes: Vec<u8>) -> u64 {
    let disk = Handle::default();
    *disk.0.bytes.lock().unwrap() = bytes;
    let db = Database::builder().create_with_backend(disk.clone()).unwrap();
    let read = disk.0.read.load(SeqCst);
    drop(db);
    read
}

fn main() {
    let disk = Handle::default();
    let db = Database::builder().create_with_backend(disk.clone()).unwrap();
    for round in 0..20 {
        put(&db, round * 1000, 1000, false);
    }
    let image = || disk.0.bytes.lock().unwrap().clone();
    let cost = |key, quick| {
        let before = disk.0.written.load(SeqCst);
        put(&db, key, 1, quick);
        (disk.0.written.load(SeqCst) - before, opening(image()))
    };
    let (plain_written, plain_read) = cost(1_000_000, false);
    let (quick_written, quick_read) = cost(1_000_001, true);
    drop(db);
    let closed_read = opening(image());
    println!("{} bytes of disk, 20,000 values of 1,000 bytes", image().len());
    println!("opened after a close: {closed_read} bytes are read");
    println!("opened after a crash behind a commit of {plain_written} bytes: {plain_read} bytes are read");
    println!("opened after a crash behind a quick-repair commit of {quick_written} bytes: {quick_read} bytes are read");
    let as_found = plain_read > 20_000_000 && closed_read < plain_read / 10 && quick_read < plain_read / 10;
    println!("{}", if as_found { "as found: opening after a crash reads everything" } else { "changed" });
    std::process::exit(i32::from(!as_found));
}
END
cargo --version
cargo run --quiet

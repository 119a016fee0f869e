#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# One failed read, one failed sync or one full disk ends a redb database for this process, for readers too.
#
# Guess: an error of the storage fails the transaction that met it; the next one is tried anew, and readers go on.
# Is: after any error of the storage all later operations, reads as well as writes, fail with PreviousIo until the
# database is closed and opened again. A commit that needs more room than there is counts as such an error, so not even what would
# free room can be done. And a commit that failed in its sync is there after the next opening.
# Why it matters: a set's database on a volume meets a path that fails once, or a volume that is full. Its keeper has to close
# and open it again (which reads all of it, see redb-reads-all-after-a-crash.sh), keep the old room in reserve, and treat a
# failed commit as one that may have happened: read again before acting.
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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("table");
type Outcome<T> = Result<T, redb::Error>;

/// A disk in memory that fails once when it is told to, and is full at `limit`.
#[derive(Debug, Default)]
struct Disk {
    bytes: Mutex<Vec<u8>>,
    fail_read: AtomicBool,
    fail_sync: AtomicBool,
    limit: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Handle(Arc<Disk>);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.bytes.lock().unwrap().len() as u64)
    }
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if self.0.fail_read.swap(false, SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(self.0.bytes.lock().unwrap()[offset as usize..][..len].to_vec())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let limit = self.0.limit.load(SeqCst);
        if limit != 0 && len > limit {
            return Err(io::Error::from_raw_os_error(28));
        }
        self.0.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        if self.0.fail_sync.swap(false, SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.bytes.lock().unwrap()[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn open(disk: &Handle) -> Database {
    Database::builder().set_cache_size(0).create_with_backend(disk.clone()).unwrap()
}

fn put(db: &Database, first: u64, count: u64) -> Outcome<()> {
    let transaction = db.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for key in first..first + count {
            table.insert(key, &[7; 1000][..])?;
        }
    }
    Ok(transaction.commit()?)
}

fn remove_all(db: &Database) -> Outcome<()> {
    let transaction = db.begin_write()?;
    transaction.delete_table(TABLE)?;
    Ok(transaction.commit()?)
}

fn has(db: &Database, key: u64) -> Outcome<bool> {
    let transaction = db.begin_read()?;
    let table = transaction.open_table(TABLE)?;
    let found = table.get(key)?.is_some();
    Ok(found)
}

fn is_previous<T>(outcome: Outcome<T>) -> bool {
    matches!(outcome, Err(redb::Error::PreviousIo))
}

fn main() {
    let mut as_found = true;
    for kind in ["read", "sync", "full"] {
        let disk = Handle::default();
        let db = open(&disk);
        put(&db, 0, 2000).unwrap();
        let first = match kind {
            "read" => {
                disk.0.fail_read.store(true, SeqCst);
                has(&db, 5).map(|_| ())
            }
            "sync" => {
                disk.0.fail_sync.store(true, SeqCst);
                put(&db, 1_000_000, 1)
            }
            _ => {
                disk.0.limit.store(disk.len().unwrap(), SeqCst);
                (1..100).try_for_each(|round| put(&db, round * 2000, 2000))
            }
        };
        println!("{kind}: {}", first.as_ref().unwrap_err());
        disk.0.limit.store(0, SeqCst);
        let (read, written, removed) = (has(&db, 1999), put(&db, 3_000_000, 1), remove_all(&db));
        println!("  the storage is well again: read {read:?}, write {written:?}, remove {removed:?}");
        as_found &= is_previous(read) && is_previous(written) && is_previous(removed);
        drop(db);
        let db = open(&disk);
        println!("  opened again: read {:?}, what failed is there: {:?}", has(&db, 1999), has(&db, 1_000_000));
        as_found &= has(&db, 1999).is_ok_and(|found| found);
        as_found &= has(&db, 1_000_000).is_ok_and(|found| found == (kind == "sync"));
    }
    println!("{}", if as_found { "as found: one error ends all until it is opened again" } else { "changed" });
    std::process::exit(i32::from(!as_found));
}
END
cargo --version
cargo run --quiet

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A redb database is full when half of its storage is free.
#
# Guess: a storage of 127 MiB holds nearly that: the database grows by what a commit needs, and takes the rest when the end is near.
# Is: when it has no free page left it asks for double the size, and never for less. Its sizes are some powers of two and a little:
# 32.6 MiB, 64.8 MiB, 129 MiB, 257.5 MiB. A storage of 64, 127 or 250 MiB cannot be used beyond the size before, so the second
# half is never touched. The commit fails, and so does everything after it (see redb-one-error-ends-all.sh). Records of 1000
# bytes fill a 127 MiB storage with 48 MB. On a file system that allows holes this does not show: the file is longer than the disk then.
# Why it matters: a database on a volume of its own, without a file system, is full long before "used / size" says so. Make the volume a
# tenth larger than a power of two (70 MiB, 140 MiB, 280 MiB), alarm at half of the last size that fits, and refuse what would grow
# beyond it before redb tries.
# Tried: redb 2.6.3, up to 257.5 MiB.
set -eu
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
trap 'exit 1' INT TERM
cd "$T"
mkdir src
cat > Cargo.toml << 'END'
[package]
name = "finding_redb_full"
version = "0.0.0"
edition = "2021"

[dependencies]
redb = "=2.6.3"

[profile.dev.package."*"]
opt-level = 2
END
cat > src/main.rs << 'END'
use redb::{Database, StorageBackend, TableDefinition};
use std::io;
use std::sync::{Arc, Mutex};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("table");
const MIB: u64 = 1 << 20;

/// A storage in memory that has room for `limit` bytes, and remembers how much was asked for.
#[derive(Debug, Default)]
struct Storage {
    bytes: Vec<u8>,
    limit: u64,
    asked: Vec<u64>,
}

#[derive(Debug, Clone, Default)]
struct Handle(Arc<Mutex<Storage>>);

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }
    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().bytes[offset as usize..][..len].to_vec())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut storage = self.0.lock().unwrap();
        storage.asked.push(len);
        if len > storage.limit {
            return Err(io::Error::from_raw_os_error(28));
        }
        storage.bytes.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().bytes[offset as usize..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn put(db: &Database, first: u64, count: u64) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    {
        let mut table = transaction.open_table(TABLE)?;
        for key in first..first + count {
            table.insert(key, &[7; 1000][..])?;
        }
    }
    Ok(transaction.commit()?)
}

/// Fills a storage, and returns how many bytes of data it took, how long the database is then, and what it asked for in vain.
fn fill(limit: u64) -> (u64, u64, u64) {
    let storage = Handle::default();
    storage.0.lock().unwrap().limit = limit;
    let db = Database::builder().create_with_backend(storage.clone()).unwrap();
    let mut records = 0;
    while put(&db, records, 100).is_ok() {
        records += 100;
    }
    let asked = *storage.0.lock().unwrap().asked.last().unwrap();
    (records * 1000, storage.len().unwrap(), asked)
}

fn main() {
    let mut as_found = true;
    for (limit, is_used_up) in [(64, false), (70, true), (100, false), (127, false), (140, true), (250, false)] {
        let (stored, len, asked) = fill(limit * MIB);
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        println!(
            "{limit} MiB: full with {:.1} MiB of data; the database has {:.1} MiB and wanted {:.1}",
            mib(stored),
            mib(len),
            mib(asked)
        );
        as_found &= asked > len * 3 / 2 && asked < len * 5 / 2;
        as_found &= (len * 4 > limit * MIB * 3) == is_used_up;
        as_found &= is_used_up || stored < limit * MIB / 2;
    }
    println!("{}", if as_found { "as found: full while half of the storage is free" } else { "changed" });
    std::process::exit(i32::from(!as_found));
}
END
cargo --version
cargo run --quiet

// SPDX-License-Identifier: GPL-2.0
//! Every input of the corpus, and some more that are like them. `YOKE_BLESS=1` writes the seeds into the corpus.
#![allow(missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::sync::Once;
use yoke_fuzz::mutate::{self, Broken};
use yoke_fuzz::{corpus, corpus_dir, find, TARGETS};

/// The same mutations in every run; another seed for others.
const SEED: &str = "YOKE_FUZZ_SEED";

/// What is wrong, with what it takes to try it alone.
fn told(name: &str, broken: &Broken) -> String {
    let mut hex = String::new();
    for byte in &broken.input {
        let _ = write!(hex, "{byte:02x}");
    }
    format!(
        "{name}: {}\n  on the input (xxd -r -p > rust/fuzz/corpus/{name}/NAME): {hex}",
        broken.said
    )
}

/// Writes the seeds, if that is asked for: once, and before any test reads the corpus.
fn bless() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("YOKE_BLESS").is_none_or(|value| value != "1") {
            return;
        }
        for target in TARGETS {
            let dir = corpus_dir(target.name);
            fs::create_dir_all(&dir).unwrap();
            for (number, seed) in (target.seeds)().into_iter().enumerate() {
                fs::write(dir.join(format!("seed-{number}")), seed).unwrap();
            }
        }
    });
}

#[test]
fn the_seeds_are_in_the_corpus() {
    bless();
    for target in TARGETS {
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            let path = corpus_dir(target.name).join(format!("seed-{number}"));
            let stored = fs::read(&path).unwrap_or_default();
            assert_eq!(stored, seed, "{} (YOKE_BLESS=1 writes it)", path.display());
        }
    }
}

#[test]
fn every_input_of_the_corpus_is_taken_as_it_should_be() {
    bless();
    for target in TARGETS {
        let inputs = corpus(target.name);
        assert!(!inputs.is_empty(), "{}", target.name);
        for (file, input) in inputs {
            if let Err(broken) = mutate::run_one(target.run, &input) {
                panic!("{file}: {}", told(target.name, &broken));
            }
        }
    }
}

#[test]
fn every_directory_of_the_corpus_has_its_target() {
    bless();
    for entry in fs::read_dir(corpus_dir("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(find(&name).is_some(), "corpus/{name} is no target's");
    }
}

#[test]
fn mutations_are_taken_as_they_should_be() {
    bless();
    let seed = std::env::var(SEED).map_or(1, |text| text.parse().expect("a number"));
    let failed: Vec<String> = std::thread::scope(|scope| {
        let run = |target: &'static yoke_fuzz::Target| {
            let inputs: Vec<_> = corpus(target.name).into_iter().map(|(_, i)| i).collect();
            let broken = mutate::run(target.run, &inputs, target.count, seed).err()?;
            Some(told(target.name, &broken))
        };
        let threads: Vec<_> = TARGETS
            .iter()
            .map(|target| scope.spawn(move || run(target)))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().expect("the mutator itself does not panic"))
            .collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// A parser with the faults that such parsers have: each is found. Else the runs above prove nothing.
#[test]
fn faults_are_found() {
    fn trusts_its_length(data: &[u8]) {
        if let [b'Y', b'K', length, rest @ ..] = data {
            let _ = &rest[..usize::from(*length)];
        }
    }
    fn takes_a_newer_version(data: &[u8]) {
        assert!(data.get(3) != Some(&2), "version 2");
    }
    fn overflows(data: &[u8]) {
        if let Some(word) = data.last_chunk::<8>() {
            assert!(u64::from_le_bytes(*word).checked_add(16).is_some());
        }
    }
    let seed = b"YK\x04\x01abcd\x10\0\0\0\0\0\0\0".to_vec();
    let faults = [trusts_its_length, takes_a_newer_version, overflows];
    let found = faults.map(|fault: fn(&[u8])| {
        let clean = mutate::run_one(fault, &seed).is_ok();
        clean && mutate::run(fault, std::slice::from_ref(&seed), 20_000, 1).is_err()
    });
    assert_eq!(found, [true; 3]);
}

// SPDX-License-Identifier: GPL-2.0
//! What comes out: errors for people and for programs, exit statuses.

use serde::Serialize;
use std::process::ExitCode;

/// Done, and something that yoke is there for is degraded.
pub(crate) const EXIT_DEGRADED: u8 = 3;

/// A failure: what, and what to do next. Nothing has changed unless the text says so.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Failure {
    what: String,
    next: String,
    exit: u8,
}

impl Failure {
    /// Refused by yoke or by the system: exit status 1.
    pub(crate) fn refused(what: impl Into<String>, next: impl Into<String>) -> Self {
        Failure {
            what: what.into(),
            next: next.into(),
            exit: 1,
        }
    }

    /// Wrong usage: exit status 2.
    pub(crate) fn usage(what: impl Into<String>, next: impl Into<String>) -> Self {
        Failure {
            what: what.into(),
            next: next.into(),
            exit: 2,
        }
    }

    /// yoke is not there: exit status 4.
    pub(crate) fn absent(what: impl Into<String>, next: impl Into<String>) -> Self {
        Failure {
            what: what.into(),
            next: next.into(),
            exit: 4,
        }
    }

    /// The same failure with a word on what was undone.
    pub(crate) fn undone(mut self, note: &str) -> Self {
        self.what = format!("{}; {note}", self.what);
        self
    }
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    error: String,
    next: &'a str,
}

/// Print a failure; its exit status.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let (next, exit) = match error.downcast_ref::<Failure>() {
        Some(failure) => (failure.next.as_str(), failure.exit),
        None => ("", 1),
    };
    if json {
        print_json(&ErrorJson {
            error: format!("{error:#}"),
            next,
        });
    } else {
        eprintln!("yokectl: {error:#}");
        if !next.is_empty() {
            eprintln!("  next: {next}");
        }
    }
    ExitCode::from(exit)
}

/// Print one JSON document.
pub(crate) fn print_json<T: Serialize>(value: &T) {
    // Our own types hold strings and numbers alone, which always serialise.
    println!(
        "{}",
        serde_json::to_string_pretty(value).unwrap_or_default()
    );
}

#[derive(Serialize)]
struct DoneJson<'a> {
    done: &'a str,
}

/// Say that something was done.
pub(crate) fn done(text: &str, json: bool) -> ExitCode {
    if json {
        print_json(&DoneJson { done: text });
    } else {
        println!("{text}");
    }
    ExitCode::SUCCESS
}

/// Print rows in aligned columns under a heading.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) {
    let mut width: Vec<usize> = heading.iter().map(|cell| cell.len()).collect();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            if let Some(w) = width.get_mut(column) {
                *w = (*w).max(cell.chars().count());
            }
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&width)
            .map(|(cell, w)| format!("{cell:<w$}", w = *w))
            .collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(
        &heading
            .iter()
            .map(|cell| cell.to_string())
            .collect::<Vec<_>>(),
    );
    rows.iter().for_each(|row| line(row));
}

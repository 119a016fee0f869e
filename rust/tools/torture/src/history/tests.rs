// SPDX-License-Identifier: GPL-2.0
//! Histories in the record's own words: `i SEQ BLOCK AT`, `a SEQ AT LATENCY`, ...

use super::*;
use crate::fault::Verdict;
use crate::stamp::{Found, Stamp, Tear};

const RUN: u64 = 7;

/// Replays `lines` as run [`RUN`], without ending it.
fn open(rule: Rule, lines: &[&str]) -> History {
    let mut history = History::new(rule);
    begin(&mut history, RUN, None);
    for line in lines {
        assert_eq!(apply(&mut history, line), None, "{line}");
    }
    history
}

/// Replays `lines` as a run that was cut off.
fn cut(lines: &[&str]) -> History {
    let mut history = open(Rule::SingleFailure, lines);
    history.end_record(false);
    history
}

fn begin(history: &mut History, run: u64, continues: Option<u64>) -> u64 {
    let first_seq = history.next_run_seq();
    let header = Header {
        run,
        continues,
        first_seq,
        blocks: 10,
        ..Header::default()
    };
    history.apply(&Frame::Header(header)).unwrap();
    first_seq
}

fn apply(history: &mut History, line: &str) -> Option<Verdict> {
    let frame = Frame::parse(line).expect(line);
    history.apply(&frame).unwrap().map(|fault| fault.verdict)
}

fn stamp(run: u64, block: u64, seq: u64) -> Found {
    Found::Whole(Stamp { run, block, seq })
}

fn verdict(history: &History, block: u64, found: &Found) -> Option<Verdict> {
    match history.judge(block, found) {
        Judgement::Bad(fault) => Some(fault.verdict),
        _ => None,
    }
}

/// Which of the sequences 1 to `to` may stand in block 5 (0: what was there before).
fn allowed(history: &History, to: u64) -> Vec<u64> {
    let before = verdict(history, 5, &Found::Nothing).is_none();
    let mut list: Vec<u64> = (1..=to)
        .filter(|seq| verdict(history, 5, &stamp(RUN, 5, *seq)).is_none())
        .collect();
    if before {
        list.insert(0, 0);
    }
    list
}

#[test]
fn the_last_acknowledged_write_must_be_there() {
    let history = cut(&["i 1 5 0", "a 1 0 0", "i 2 5 0", "a 2 0 0"]);
    assert_eq!(allowed(&history, 2), [2]);
    assert_eq!(verdict(&history, 5, &stamp(RUN, 5, 1)), Some(Verdict::Lost));
    assert_eq!(verdict(&history, 5, &Found::Nothing), Some(Verdict::Lost));
    let Judgement::Bad(fault) = history.judge(5, &stamp(RUN, 5, 1)) else {
        panic!("not bad")
    };
    assert_eq!((fault.expected_seq, fault.found_seq), (Some(2), Some(1)));
}

#[test]
fn a_write_without_an_answer_may_be_there_or_not() {
    let history = cut(&["i 1 5 0", "a 1 0 0", "i 2 5 0"]);
    assert_eq!(allowed(&history, 2), [1, 2]);
    let history = cut(&["i 1 5 0"]);
    assert_eq!(allowed(&history, 1), [0, 1]);
}

#[test]
fn a_failed_write_may_be_there_until_it_is_superseded() {
    let lines = ["i 1 5 0", "a 1 0 0", "i 2 5 0", "e 2 0 5"];
    assert_eq!(allowed(&cut(&lines), 2), [1, 2]);
    let more = [&lines[..], &["i 3 5 0", "a 3 0 0"]].concat();
    let history = cut(&more);
    assert_eq!(allowed(&history, 3), [3]);
    assert_eq!(
        verdict(&history, 5, &stamp(RUN, 5, 2)),
        Some(Verdict::Resurrected)
    );
    assert_eq!(verdict(&history, 5, &stamp(RUN, 5, 1)), Some(Verdict::Lost));
}

#[test]
fn writes_in_flight_together_have_no_order() {
    let history = cut(&["i 1 5 0", "i 2 5 0", "a 2 0 0", "a 1 0 0"]);
    assert_eq!(allowed(&history, 2), [1, 2]);
    let history = cut(&[
        "i 1 5 0", "i 2 5 0", "a 1 0 0", "i 3 5 0", "a 3 0 0", "a 2 0 0",
    ]);
    assert_eq!(allowed(&history, 3), [2, 3]);
}

#[test]
fn what_was_read_does_not_go_back() {
    let lines = ["i 1 5 0", "a 1 0 0", "i 2 5 0", "e 2 0 5", "R 1 5 0"];
    // The read saw the older one: the failed write did not happen, and must not happen later.
    let old = cut(&[&lines[..], &["r 1 0 S 7 5 1"]].concat());
    assert_eq!(allowed(&old, 2), [1]);
    assert_eq!(
        verdict(&old, 5, &stamp(RUN, 5, 2)),
        Some(Verdict::Resurrected)
    );
    // The read saw the failed write: it happened, and the older one must not come back.
    let new = cut(&[&lines[..], &["r 1 0 S 7 5 2"]].concat());
    assert_eq!(allowed(&new, 2), [2]);
    assert_eq!(
        verdict(&new, 5, &stamp(RUN, 5, 1)),
        Some(Verdict::Resurrected)
    );
}

#[test]
fn a_read_back_in_time_is_a_fault_at_once() {
    let mut history = open(
        Rule::SingleFailure,
        &["i 1 5 0", "a 1 0 0", "i 2 5 0", "a 2 0 0", "R 1 5 0"],
    );
    assert_eq!(apply(&mut history, "r 1 0 S 7 5 1"), Some(Verdict::Lost));
    assert_eq!(apply(&mut history, "R 2 5 0"), None);
    assert_eq!(apply(&mut history, "r 2 0 S 7 5 2"), None);
    assert_eq!(apply(&mut history, "R 3 5 0"), None);
    assert_eq!(
        apply(&mut history, "r 3 0 S 7 5 1"),
        Some(Verdict::Resurrected)
    );
    assert_eq!(apply(&mut history, "R 4 5 0"), None);
    assert_eq!(apply(&mut history, "r 4 0 N"), Some(Verdict::Lost));
}

#[test]
fn a_read_beside_a_write_may_see_either() {
    let lines = ["i 1 5 0", "a 1 0 0", "R 1 5 0", "i 2 5 0", "a 2 0 0"];
    for answer in ["r 1 0 S 7 5 1", "r 1 0 S 7 5 2", "r 1 0 T 7, some"] {
        let mut history = open(Rule::SingleFailure, &lines);
        assert_eq!(apply(&mut history, answer), None, "{answer}");
        assert_eq!(allowed(&history, 2), [2], "{answer}");
    }
    let mut history = open(Rule::SingleFailure, &lines);
    assert_eq!(apply(&mut history, "R 2 5 0"), None);
    assert_eq!(
        apply(&mut history, "r 2 0 T 7, some"),
        Some(Verdict::Torn),
        "no write is in flight"
    );
}

/// The read began before a write was answered, and returned the one submitted after it: that one came later.
#[test]
fn a_read_settles_what_came_before_its_answer() {
    let history = cut(&[
        "i 1 5 0",
        "R 1 5 0",
        "e 1 0 5",
        "i 2 5 0",
        "r 1 0 S 7 5 2",
        "e 2 0 5",
    ]);
    assert_eq!(allowed(&history, 2), [2]);
}

#[test]
fn each_verdict_for_what_does_not_belong() {
    let history = cut(&["i 1 5 0", "a 1 0 0", "i 2 6 0", "a 2 0 0"]);
    let torn = Found::Torn(Tear {
        runs: vec![RUN],
        text: String::new(),
    });
    let others_tear = Found::Torn(Tear {
        runs: vec![99],
        text: String::new(),
    });
    assert_eq!(verdict(&history, 5, &torn), Some(Verdict::Torn));
    assert_eq!(verdict(&history, 5, &others_tear), Some(Verdict::Torn));
    assert_eq!(verdict(&history, 9, &torn), Some(Verdict::Torn));
    assert_eq!(verdict(&history, 9, &others_tear), None);
    assert_eq!(
        verdict(&history, 5, &stamp(RUN, 6, 2)),
        Some(Verdict::Misplaced)
    );
    assert_eq!(
        verdict(&history, 9, &stamp(RUN, 6, 2)),
        Some(Verdict::Misplaced)
    );
    assert_eq!(
        verdict(&history, 5, &stamp(99, 5, 2)),
        Some(Verdict::Foreign)
    );
    assert_eq!(verdict(&history, 9, &stamp(99, 9, 2)), None);
    assert_eq!(verdict(&history, 9, &Found::Nothing), None);
}

#[test]
fn beyond_the_end_of_the_record() {
    let lines = ["i 1 5 0", "a 1 0 0"];
    let history = cut(&lines);
    assert_eq!(history.judge(5, &stamp(RUN, 5, 9)), Judgement::BeyondRecord);
    assert_eq!(
        verdict(&history, 5, &stamp(RUN, 5, 1 + RUN_SPAN)),
        Some(Verdict::Foreign)
    );
    let mut complete = open(Rule::SingleFailure, &lines);
    complete.end_record(true);
    assert_eq!(
        verdict(&complete, 5, &stamp(RUN, 5, 9)),
        Some(Verdict::Foreign)
    );
}

#[test]
fn a_later_run_settles_what_an_earlier_one_left_open() {
    let mut history = cut(&["i 1 5 0", "a 1 0 0", "i 2 5 0"]);
    let seq = begin(&mut history, 8, Some(RUN));
    assert_eq!(seq, RUN_SPAN);
    apply(&mut history, &format!("i {seq} 5 0"));
    assert_eq!(allowed(&history, 2), [1, 2]);
    apply(&mut history, &format!("a {seq} 0 0"));
    assert!(allowed(&history, 2).is_empty());
    // In flight when the first machine died, and here after all: also where the cut-off record does not know it.
    for seq in [2, 3] {
        assert_eq!(
            verdict(&history, 5, &stamp(RUN, 5, seq)),
            Some(Verdict::Resurrected)
        );
    }
    assert_eq!(verdict(&history, 5, &stamp(8, 5, seq)), None);
}

#[test]
fn what_a_verify_saw_does_not_go_back() {
    let observation = |history: &mut History, line: &str| {
        let header = Header {
            kind: Kind::Observation,
            run: 100,
            continues: Some(RUN),
            ..Header::default()
        };
        history.apply(&Frame::Header(header)).unwrap();
        assert_eq!(apply(history, line), None);
        history.end_record(true);
    };
    let lines = ["i 1 5 0", "a 1 0 0", "i 2 5 0"];
    let mut late = cut(&lines);
    observation(&mut late, "o 5 S 7 5 1");
    assert_eq!(allowed(&late, 3), [1]);
    assert_eq!(
        verdict(&late, 5, &stamp(RUN, 5, 2)),
        Some(Verdict::Resurrected)
    );
    assert_eq!(
        verdict(&late, 5, &stamp(RUN, 5, 3)),
        Some(Verdict::Resurrected)
    );
    // A write that only the volume told of counts once it was seen.
    let mut beyond = cut(&lines);
    observation(&mut beyond, "o 5 S 7 5 3");
    assert_eq!(allowed(&beyond, 3), [3]);
}

#[test]
fn after_a_power_loss_only_the_flushed_counts() {
    let lines = [
        "i 1 5 0", "a 1 0 0", "F 1 0", "i 2 5 0", "a 2 0 0", "f 1 0 0", "i 3 5 0", "a 3 0 0",
    ];
    let mut history = open(Rule::PowerLoss, &lines);
    assert_eq!(allowed(&history, 3), [1, 2, 3]);
    for line in ["F 2 0", "f 2 0 0"] {
        apply(&mut history, line);
    }
    assert_eq!(allowed(&history, 3), [3]);
    for line in ["i 4 5 0", "a 4 0 0", "u 5 5 0"] {
        apply(&mut history, line);
    }
    assert_eq!(allowed(&history, 5), [3, 4, 5]);
    apply(&mut history, "a 5 0 0");
    assert_eq!(allowed(&history, 5), [5]);
    assert_eq!(verdict(&history, 5, &stamp(RUN, 5, 4)), Some(Verdict::Lost));
}

#[test]
fn a_failed_flush_counts_for_nothing() {
    let history = open(Rule::PowerLoss, &["i 1 5 0", "a 1 0 0", "F 1 0", "x 1 0 5"]);
    assert_eq!(allowed(&history, 1), [0, 1]);
}

#[test]
fn records_that_contradict_themselves_are_refused() {
    let refused = |lines: &[&str], last: &str| {
        let mut history = open(Rule::SingleFailure, lines);
        history.apply(&Frame::parse(last).unwrap()).is_err()
    };
    assert!(refused(&[], "a 1 0 0"));
    assert!(refused(&["i 1 5 0", "a 1 0 0"], "a 1 0 0"));
    assert!(refused(&["i 2 5 0"], "i 2 5 0"));
    assert!(refused(&["i 2 5 0"], "i 1 5 0"));
    assert!(refused(&[], "r 1 0 N"));
    assert!(refused(&[], "f 1 0 0"));
    let header = |run, continues, first_seq| {
        let header = Header {
            run,
            continues,
            first_seq,
            ..Header::default()
        };
        cut(&["i 1 5 0"]).apply(&Frame::Header(header))
    };
    assert!(header(8, Some(RUN), RUN_SPAN).is_ok());
    assert!(header(8, None, RUN_SPAN).is_err(), "another chain");
    assert!(header(8, Some(6), RUN_SPAN).is_err(), "another chain");
    assert!(header(RUN, Some(RUN), RUN_SPAN).is_err(), "the same run");
    assert!(header(8, Some(RUN), 5).is_err(), "sequences used before");
    let mut empty = History::new(Rule::SingleFailure);
    let header = Header {
        run: 8,
        continues: Some(RUN),
        first_seq: 1,
        ..Header::default()
    };
    assert!(
        empty.apply(&Frame::Header(header)).is_err(),
        "the earlier record is missing"
    );
}

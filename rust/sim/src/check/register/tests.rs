// SPDX-License-Identifier: GPL-2.0
//! Histories that are one register's, and planted ones that are not.

use super::*;

fn read(r: &mut Register, got: Value) -> bool {
    r.read_begin(99);
    r.read_done(99, got).is_ok()
}

#[test]
fn an_acknowledged_write_is_read() {
    let mut r = Register::new(0);
    r.write_begin(1, 5);
    r.write_acked(1);
    assert!(read(&mut r.clone(), 5));
    assert!(!read(&mut r, 0));
}

#[test]
fn a_pending_write_may_be_seen_and_then_stays() {
    let mut r = Register::new(0);
    r.write_begin(1, 5);
    assert!(read(&mut r, 0));
    assert!(read(&mut r, 5));
    assert!(!read(&mut r, 0));
}

#[test]
fn two_pending_writes_in_any_order() {
    for (first, second) in [(5, 6), (6, 5)] {
        let mut r = Register::new(0);
        r.write_begin(1, 5);
        r.write_begin(2, 6);
        assert!(read(&mut r, first));
        assert!(read(&mut r, second));
        r.write_acked(1);
        r.write_acked(2);
        assert!(!read(&mut r.clone(), first));
        assert!(read(&mut r, second));
    }
}

#[test]
fn an_unknown_write_never_comes_back() {
    let mut r = Register::new(0);
    r.write_begin(1, 5);
    r.write_unknown(1);
    assert!(read(&mut r.clone(), 5));
    assert!(read(&mut r, 0));
    assert!(!read(&mut r, 5), "decided by the read of 0");
    let mut r = Register::new(0);
    r.write_begin(1, 5);
    r.write_unknown(1);
    r.write_begin(2, 6);
    r.write_acked(2);
    assert!(!read(&mut r, 5));
}

#[test]
fn a_refused_write_never_happened() {
    let mut r = Register::new(0);
    r.write_begin(1, 5);
    assert!(r.write_refused(1).is_ok());
    assert!(!read(&mut r, 5));
    let mut r = Register::new(0);
    r.write_begin(1, 5);
    assert!(read(&mut r, 5));
    assert!(r.write_refused(1).is_err());
}

#[test]
fn a_long_read_may_return_any_value_of_its_time() {
    for got in [0, 5, 6] {
        let mut r = Register::new(0);
        r.read_begin(9);
        for (op, value) in [(1, 5), (2, 6)] {
            r.write_begin(op, value);
            r.write_acked(op);
        }
        assert!(r.read_done(9, got).is_ok(), "{got}");
    }
    let mut r = Register::new(4);
    r.write_begin(1, 5);
    r.write_acked(1);
    r.read_begin(9);
    r.write_begin(2, 6);
    r.write_acked(2);
    assert_eq!(r.read_done(9, 4).unwrap_err().allowed, vec![5, 6]);
}

#[test]
fn a_write_may_have_been_hidden_by_another() {
    let mut r = Register::new(0);
    r.read_begin(9);
    r.write_begin(1, 5);
    r.write_begin(2, 6);
    r.write_acked(2);
    let mut after = r.clone();
    after.write_acked(1);
    assert_eq!(after.values(), vec![5, 6]);
    assert!(r.read_done(9, 5).is_ok(), "5 was there before 6");
    r.write_acked(1);
    assert_eq!(r.values(), vec![5, 6]);
    assert!(read(&mut r, 6));
    assert!(!read(&mut r, 5));
}

/// Every history of a correct register is accepted, whatever the moments of effect.
#[test]
fn correct_registers_are_never_accused() {
    let mut rng = crate::rng::Rng::new(3);
    for _ in 0..2_000 {
        let mut monitor = Register::new(0);
        let (mut value, mut next) = (0, 1);
        // (op, value, taken effect, what a read saw)
        let mut open: Vec<(OpId, Option<Value>, bool, Value)> = Vec::new();
        for op in 1..40 {
            match rng.below(4) {
                0 if open.len() < 6 => {
                    monitor.write_begin(op, next);
                    open.push((op, Some(next), false, 0));
                    next += 1;
                }
                1 if open.len() < 6 => {
                    monitor.read_begin(op);
                    open.push((op, None, false, 0));
                }
                2 if !open.is_empty() => {
                    let at = rng.index(open.len());
                    let o = &mut open[at];
                    if !o.2 {
                        o.2 = true;
                        match o.1 {
                            Some(v) => value = v,
                            None => o.3 = value,
                        }
                    }
                }
                _ if !open.is_empty() => {
                    let at = rng.index(open.len());
                    let (op, writes, done, saw) = open.remove(at);
                    match (writes, done) {
                        (Some(_), true) if rng.chance(800) => monitor.write_acked(op),
                        (Some(_), _) => monitor.write_unknown(op),
                        (None, true) => assert!(monitor.read_done(op, saw).is_ok()),
                        (None, false) => monitor.read_dropped(op),
                    }
                }
                _ => {}
            }
        }
        assert!(read(&mut monitor, value));
    }
}

#[test]
fn an_open_read_may_have_seen_both_sides_of_a_restart() {
    for (got, right) in [(0, true), (5, true), (3, true), (4, true), (7, false)] {
        let mut r = Register::new(0);
        r.read_begin(9);
        r.write_begin(1, 5);
        r.write_acked(1);
        r.restart(&[3, 4]);
        assert_eq!(r.read_done(9, got).is_ok(), right, "{got}");
    }
    let mut r = Register::new(0);
    r.restart(&[3, 4]);
    r.read_begin(9);
    assert!(
        r.read_done(9, 0).is_err(),
        "a later read sees one side only"
    );
}

#[test]
fn many_values_after_a_restart_cost_little() {
    let mut r = Register::new(0);
    r.read_begin(9);
    let values: Vec<Value> = (0..5_000).collect();
    r.restart(&values);
    for op in 10..60 {
        r.write_begin(op, 10_000 + u64::from(op));
        r.write_acked(op);
    }
    assert_eq!(r.values(), [10_059]);
    assert!(r.read_done(9, 4_999).is_ok());
}

#[test]
fn a_restart_allows_what_it_names() {
    let mut r = Register::new(0);
    r.restart(&[3, 4]);
    assert_eq!(r.values(), vec![3, 4]);
    assert!(read(&mut r, 4));
    assert!(!read(&mut r, 3));
}

// SPDX-License-Identifier: GPL-2.0
//! What the tools read: frames, requests, records, stamps, events, attributes.

use super::array;
use std::fs;
use yoke_ivshmem_server::command::Command;
use yoke_lab_agent::frame::{Received, PAYLOAD_MAX};
use yoke_torture::record::{Frame, LineCheck};
use yoke_torture::stamp::{self, Block, Found, Stamp};
use yoke_torture::BLOCK_SIZE;

/// However the bytes are cut into pieces, the frames are the same, and together they are what came.
pub(super) fn lab_agent(data: &[u8]) {
    let pieces = |size: usize| {
        let mut received = Received::default();
        let mut frames = Vec::new();
        for piece in data.chunks(size) {
            received.add(piece);
            loop {
                match received.next() {
                    Ok(Some((kind, payload))) => {
                        assert!(payload.len() <= PAYLOAD_MAX);
                        frames.push((kind, payload));
                    }
                    Ok(None) => break,
                    Err(_) => return (frames, None),
                }
            }
        }
        (frames, Some(received.len()))
    };
    let (frames, left) = pieces(data.len().max(1));
    if let Some(left) = left {
        let used: usize = frames.iter().map(|(_, payload)| payload.len() + 5).sum();
        assert_eq!(used + left, data.len());
    }
    assert_eq!(pieces(1), (frames, left));
}

pub(super) fn lab_agent_seeds() -> Vec<Vec<u8>> {
    let hello = br#"{"token":"00","argv":["true"],"cwd":null,"env":{},"terminal":[24,80]}"#;
    let mut command = vec![0, 0, 0, hello.len() as u8, b'H'];
    command.extend(hello);
    command.extend(b"\0\0\0\x03Iabc\0\0\0\0E");
    vec![
        command,
        b"\0\0\0\x02X{}".to_vec(),
        b"\xff\xff\xff\xffI".to_vec(),
    ]
}

/// A refusal has words for the person.
pub(super) fn ivshmem_control(data: &[u8]) {
    if let Err(reason) = Command::parse(data) {
        assert!(reason.len() > 20, "{reason}");
    }
}

pub(super) fn ivshmem_control_seeds() -> Vec<Vec<u8>> {
    [
        r#"{"cmd":"status"}"#,
        r#"{"cmd":"cut"}"#,
        r#"{"cmd":"mend"}"#,
        r#"{"cmd":"drop-doorbells","count":2}"#,
        r#"{"cmd":"drop-doorbells","count":"all"}"#,
        r#"{"cmd":"delay-doorbells","ms":60000}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A line that is accepted is written again to one that means the same; and a line is accepted with its own checksum only.
pub(super) fn torture_record(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut as_it_comes = LineCheck::default();
    for line in text.lines() {
        let _ = as_it_comes.next(line);
        let Some(frame) = Frame::parse(line) else {
            continue;
        };
        let body = frame.body();
        let again = Frame::parse(&body);
        // Figures have fractions, which may be no numbers.
        let whole = !matches!(frame, Frame::End(_));
        assert!(
            again.is_some() && (!whole || again.as_ref() == Some(&frame)),
            "{line:?}: {body:?}"
        );
        let sealed = format!("{body} {:08x}", crc32c::crc32c(body.as_bytes()));
        assert!(LineCheck::default().next(&sealed).is_some(), "{sealed:?}");
        let wrong = format!("{body} {:08x}", !crc32c::crc32c(body.as_bytes()));
        assert_eq!(LineCheck::default().next(&wrong), None);
    }
}

pub(super) fn torture_record_seeds() -> Vec<Vec<u8>> {
    let lines = "i 1 5 10\nu 2 6 11\na 1 12 2\ne 2 13 5\nF 1 14\nf 1 15 3\nx 1 16 5\nR 1 5 17\n\
                 r 1 18 S 77 5 1\nr 2 18 N\nr 3 18 T 77,78, two writes\ny 1 19 5\no 5 S 77 5 1\n";
    let header = "H {\"version\":1,\"kind\":\"write\",\"run\":7,\"continues\":null,\"first_seq\":1,\"first_block\":0,\
                  \"blocks\":100,\"overlap\":false,\"started_unix_us\":0,\"device\":\"/dev/a\"}\n";
    let checked = "i 1 5 10 06791830\na 1 12 2 c25c1ff1\n";
    [lines, header, checked]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

/// A block is whole only if it is what its stamp writes.
pub(super) fn torture_stamp(data: &[u8]) {
    let mut block = Block::default();
    let raw: [u8; BLOCK_SIZE] = array(data);
    block.0 = raw;
    if let Found::Whole(stamp) = stamp::read(&block) {
        let mut again = Block::default();
        stamp.fill(&mut again);
        assert_eq!(stamp::read(&again), Found::Whole(stamp));
        assert!(again.0 == block.0, "filler that is not checked");
    }
    // Of two writes to one block, wherever they meet, it never makes one.
    let (first, second) = (filled(1), filled(2));
    let cut = usize::from(u16::from_le_bytes(array(data))) % BLOCK_SIZE;
    let mut mixed = second.clone();
    mixed.0[..cut].copy_from_slice(&first.0[..cut]);
    let whole = matches!(stamp::read(&mixed), Found::Whole(_));
    assert_eq!(
        whole,
        mixed.0 == first.0 || mixed.0 == second.0,
        "cut at {cut}"
    );
}

fn filled(seq: u64) -> Block {
    let mut block = Block::default();
    Stamp {
        run: 77,
        block: 5,
        seq,
    }
    .fill(&mut block);
    block
}

pub(super) fn torture_stamp_seeds() -> Vec<Vec<u8>> {
    vec![
        filled(1).0.to_vec(),
        filled(2).0[..512].to_vec(),
        Vec::new(),
    ]
}

pub(super) fn uevent(data: &[u8]) {
    if let Some(event) = yokectl::readers::event(data) {
        assert_json(&event);
    }
}

pub(super) fn uevent_seeds() -> Vec<Vec<u8>> {
    let change =
        "change@/devices/virtual/block/yoke0\0ACTION=change\0YOKE_NAME=vol0\0YOKE_OLD=mirrored\0\
                  YOKE_STATE=holding\0YOKE_REASON=peer gone\0";
    vec![
        change.as_bytes().to_vec(),
        b"change@/devices/pci\0ACTION=change\0".to_vec(),
    ]
}

/// Files of a volume, a link and a peer, whose values are the pieces of the input between NULs.
const FILES: [&str; 14] = [
    "sys/kernel/config/yoke/appliance",
    "sys/kernel/config/yoke/node",
    "sys/class/yoke_link/l0/state",
    "sys/class/yoke_link/l0/down_count",
    "sys/class/yoke_link/l0/latency_us",
    "sys/class/yoke_peer/1/state",
    "sys/class/yoke_peer/1/links",
    "sys/block/yoke0/yoke/name",
    "sys/block/yoke0/yoke/role",
    "sys/block/yoke0/yoke/state",
    "sys/block/yoke0/yoke/generation",
    "sys/block/yoke0/yoke/dirty_blocks",
    "sys/block/yoke0/yoke/takeover_possible",
    "sys/block/yoke0/yoke/reason",
];

pub(super) fn attributes(data: &[u8]) {
    let root = tempfile::tempdir().expect("a directory");
    for (file, value) in FILES.iter().zip(data.split(|&byte| byte == 0)) {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
        fs::write(&path, value).expect("a file");
    }
    fs::create_dir_all(root.path().join("sys/kernel/config/yoke")).expect("a directory");
    let status = yokectl::readers::status(root.path()).expect("yoke is loaded");
    assert_json(&status);
}

pub(super) fn attributes_seeds() -> Vec<Vec<u8>> {
    let values = "6a3e5f0e-52b1-4a7e-9c1d-be5c00000002\n\x000\n\0up\n\x003\n\x001250\n\0ready\n\0ntb0 ntb1\n\0vol0\n\0owner\n\0\
                  mirrored\n\x007\n\x0012\n\x00yes\n\0\n";
    vec![values.as_bytes().to_vec(), b"\0\0\0\xff\0-1".to_vec()]
}

fn assert_json(text: &str) {
    let parsed = serde_json::from_str::<serde_json::Value>(text);
    assert!(parsed.is_ok_and(|value| value.is_object()), "{text}");
}

// SPDX-License-Identifier: GPL-2.0
//! A running server, and a client that does on its socket what QEMU's ivshmem-doorbell does.

use std::io::{BufRead, BufReader, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags};
use rustix::net::{recvmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::time::Timespec;
use serde_json::{json, Value};

/// Vectors a side, unless a test says otherwise.
pub(crate) const VECTORS: u16 = 17;
/// Bound of every wait: generous, since the host may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The server's program.
pub(crate) fn server_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_yoke-ivshmem-server"))
}

/// A server process with its sockets in a directory of its own.
pub(crate) struct Running {
    child: Child,
    dir: tempfile::TempDir,
    sides: u16,
    vectors: u16,
}

impl Running {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_sides(2, more)
    }

    pub(crate) fn start_sides(sides: u16, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = server_command();
        for side in 0..sides {
            command.arg("--side").arg(format!(
                "{side}={}",
                dir.path().join(side.to_string()).display()
            ));
        }
        command
            .arg("--control")
            .arg(dir.path().join("control"))
            .args(more);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("ready"), "{line}");
        // Nobody may stop reading what it says: a full pipe would stop the server.
        std::thread::spawn(move || {
            said.lines()
                .map_while(Result::ok)
                .for_each(|line| println!("server: {line}"))
        });
        let at = more.iter().position(|word| *word == "--vectors");
        let vectors = at.map_or(VECTORS, |at| more[at + 1].parse().unwrap());
        Self {
            child,
            dir,
            sides,
            vectors,
        }
    }

    pub(crate) fn connect(&self, side: u16) -> Machine {
        let stream = UnixStream::connect(self.dir.path().join(side.to_string())).unwrap();
        Machine::set_up(stream, self.vectors)
    }

    /// Both sides, and each knows of the other.
    pub(crate) fn connect_both(&self) -> (Machine, Machine) {
        let (mut a, mut b) = (self.connect(0), self.connect(1));
        a.await_peer(1);
        b.await_peer(0);
        (a, b)
    }

    pub(crate) fn control(&self) -> UnixStream {
        let stream = UnixStream::connect(self.dir.path().join("control")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// A request that succeeds; the status in its answer.
    pub(crate) fn ask(&self, request: &Value) -> Value {
        let mut stream = self.control();
        writeln!(stream, "{request}").unwrap();
        let answer = read_lines(&stream, 1).remove(0);
        assert_eq!(answer["ok"], true, "{request}: {answer}");
        answer["status"].clone()
    }

    pub(crate) fn status(&self) -> Value {
        self.ask(&json!({"cmd": "status"}))
    }

    /// Waits until the server has seen that a side has no machine.
    pub(crate) fn await_gone(&self, side: usize) {
        self.await_status(|s| s["sides"][side]["connected"] == false);
    }

    pub(crate) fn await_status(&self, right: impl Fn(&Value) -> bool) {
        let begin = Instant::now();
        loop {
            let status = self.status();
            if right(&status) {
                return;
            }
            assert!(begin.elapsed() < SOON, "{status}");
        }
    }

    pub(crate) fn socket_paths(&self) -> Vec<PathBuf> {
        let names = (0..self.sides)
            .map(|side| side.to_string())
            .chain(["control".to_owned()]);
        names.map(|name| self.dir.path().join(name)).collect()
    }

    pub(crate) fn terminate(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// So many lines of JSON.
pub(crate) fn read_lines(stream: &UnixStream, count: usize) -> Vec<Value> {
    let lines: Vec<Value> = BufReader::new(stream)
        .lines()
        .take(count)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    assert_eq!(lines.len(), count);
    lines
}

/// A machine.
pub(crate) struct Machine {
    stream: UnixStream,
    pub(crate) id: u16,
    memory: OwnedFd,
    vectors: u16,
    /// Eventfds by peer id, our own included.
    peers: std::collections::BTreeMap<u16, Vec<OwnedFd>>,
}

impl Machine {
    fn set_up(stream: UnixStream, vectors: u16) -> Self {
        stream.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(receive(&stream).0, 0, "the version comes first");
        let (id, fd) = receive(&stream);
        assert!(fd.is_none(), "the own id comes without a descriptor");
        let (value, memory) = receive(&stream);
        assert_eq!(value, -1, "the memory comes third");
        let id = u16::try_from(id).unwrap();
        let peers = std::collections::BTreeMap::new();
        let mut machine = Self {
            stream,
            id,
            memory: memory.unwrap(),
            vectors,
            peers,
        };
        machine.await_peer(id);
        machine
    }

    fn take_message(&mut self) {
        let (value, fd) = receive(&self.stream);
        let peer = u16::try_from(value).unwrap();
        let fd = fd.expect("QEMU does not survive being told that a peer has gone");
        let known = self.peers.entry(peer).or_default();
        known.push(fd);
        assert!(
            known.len() <= usize::from(self.vectors),
            "more vectors than the device has"
        );
    }

    /// Whether the server has said nothing that was not read.
    pub(crate) fn was_told_nothing(&self) -> bool {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        rustix::net::recv(&self.stream, &mut [0; 8], flags) == Err(rustix::io::Errno::AGAIN)
    }

    /// Reads messages until all vectors of that peer are known.
    pub(crate) fn await_peer(&mut self, id: u16) {
        while self
            .peers
            .get(&id)
            .is_none_or(|known| known.len() < usize::from(self.vectors))
        {
            self.take_message();
        }
    }

    pub(crate) fn doorbells_of(&self, id: u16) -> Vec<OwnedFd> {
        self.peers[&id]
            .iter()
            .map(|fd| fd.try_clone().unwrap())
            .collect()
    }

    pub(crate) fn ear(&self, vector: u16) -> &OwnedFd {
        &self.peers[&self.id][usize::from(vector)]
    }

    pub(crate) fn ring(&self, id: u16, vector: u16) {
        ring(&self.peers[&id][usize::from(vector)]);
    }

    /// Whether that vector was rung by now.
    pub(crate) fn heard(&self, vector: u16) -> bool {
        wait(self.ear(vector), Duration::ZERO)
    }

    /// Waits for that vector to be rung.
    pub(crate) fn hears(&self, vector: u16) -> bool {
        wait(self.ear(vector), SOON)
    }

    pub(crate) fn read_memory(&self, offset: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        assert_eq!(
            rustix::io::pread(&self.memory, &mut bytes, offset),
            Ok(count)
        );
        bytes
    }

    pub(crate) fn write_memory(&self, offset: u64, bytes: &[u8]) {
        assert_eq!(
            rustix::io::pwrite(&self.memory, bytes, offset),
            Ok(bytes.len())
        );
    }

    pub(crate) fn u32_at(&self, offset: u64) -> u32 {
        u32::from_le_bytes(self.read_memory(offset, 4).try_into().unwrap())
    }

    pub(crate) fn u64_at(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.read_memory(offset, 8).try_into().unwrap())
    }

    pub(crate) fn speak(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads all that still comes; whether it ends.
    pub(crate) fn is_hung_up(&self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match rustix::net::recv(&self.stream, &mut bytes, RecvFlags::empty()) {
                Ok((0, _)) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    pub(crate) fn hang_up(self) -> std::collections::BTreeMap<u16, Vec<OwnedFd>> {
        self.peers
    }
}

/// One message: its value, and the descriptor that came along.
fn receive(stream: &UnixStream) -> (i64, Option<OwnedFd>) {
    let mut bytes = [0; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(stream, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap();
    assert_eq!(got.bytes, 8, "a message has 8 bytes");
    let fd = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (i64::from_le_bytes(bytes), fd)
}

pub(crate) fn new_eventfd() -> OwnedFd {
    eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap()
}

pub(crate) fn ring(eventfd: impl AsFd) {
    rustix::io::write(eventfd, &1u64.to_ne_bytes()).unwrap();
}

/// Takes the ring of an eventfd; false if none comes in time.
pub(crate) fn wait(eventfd: &OwnedFd, limit: Duration) -> bool {
    let mut fds = [PollFd::new(eventfd, PollFlags::IN)];
    let limit = Timespec::try_from(limit).unwrap();
    poll(&mut fds, Some(&limit)).unwrap() == 1 && rustix::io::read(eventfd, &mut [0; 8]) == Ok(8)
}

/// The median of many round trips between two threads.
pub(crate) fn round_trips(
    bell: &OwnedFd,
    ear: &OwnedFd,
    bell_back: &OwnedFd,
    ear_back: &OwnedFd,
) -> Duration {
    const COUNT: usize = 5000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..COUNT {
                assert!(wait(ear, SOON));
                ring(bell_back);
            }
        });
        let mut times: Vec<Duration> = (0..COUNT)
            .map(|_| {
                let begin = Instant::now();
                ring(bell);
                assert!(wait(ear_back, SOON));
                begin.elapsed()
            })
            .collect();
        times.sort();
        times[COUNT / 2]
    })
}

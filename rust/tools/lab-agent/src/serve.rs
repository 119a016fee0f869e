// SPDX-License-Identifier: GPL-2.0
//! The agent: takes connections, one command each, one thread each.

use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::about::{self, About};
use crate::frame::{Channel, Hello, Kind};
use crate::pump;
use crate::spawn;

/// Said in the kernel log when commands can be run; `scripts/yoke_lab/machine.py` looks for it.
const READY: &str = "agent ready";
/// How long a client may take to say what it wants, and to close when it has been answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every connection needs to know.
struct Agent {
    token: String,
    environment: Vec<(String, String)>,
}

/// Serves until the machine ends.
pub(crate) fn run() -> Result<()> {
    let about = About::read()?;
    let agent = Arc::new(Agent {
        token: about::token()?,
        environment: [
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("HOME", "/root"),
            ("LANG", "C.UTF-8"),
            ("YOKE_LAB_NODE", &about.node.to_string()),
            ("YOKE_LAB_NAME", &about.name),
            ("YOKE_LAB_PEER", &about.peer),
            ("YOKE_LAB_TREE", &about.tree),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
    });
    let listener = TcpListener::bind(("0.0.0.0", about.agent_port)).context("cannot listen")?;
    about::log(READY);
    loop {
        let (stream, _) = listener.accept().context("cannot accept")?;
        let agent = Arc::clone(&agent);
        thread::spawn(move || {
            // A client that has gone is the client's affair.
            let _ = converse(&agent, stream);
        });
    }
}

fn converse(agent: &Agent, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut channel = Channel::new(stream);
    channel.welcome()?;
    let (kind, payload) = channel.await_frame()?;
    match serde_json::from_slice::<Hello>(&payload) {
        Ok(hello) if kind == Kind::Hello && hello.token == agent.token => {
            obey(agent, &hello, &mut channel)?
        }
        Ok(_) => channel.send(Kind::Failure, b"the token is not this machine's")?,
        Err(error) => channel.send(Kind::Failure, error.to_string().as_bytes())?,
    }
    // Closing with input unread would reset the connection and take output back.
    channel.stream().shutdown(Shutdown::Write)?;
    let mut rest = [0; 4096];
    while channel.stream().read(&mut rest)? > 0 {}
    Ok(())
}

fn obey(agent: &Agent, hello: &Hello, channel: &mut Channel) -> io::Result<()> {
    match spawn::start(hello, &agent.environment) {
        Ok(command) => pump::run(command, channel),
        Err(error) => {
            // The shell's words: 127 not found, 126 found but not to be run.
            let code = if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            };
            channel.send(
                Kind::Error,
                format!("{}: {error}\n", hello.argv.join(" ")).as_bytes(),
            )?;
            channel.send(Kind::Exit, format!("{{\"code\": {code}}}").as_bytes())
        }
    }
}

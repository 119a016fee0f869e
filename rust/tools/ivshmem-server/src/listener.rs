// SPDX-License-Identifier: GPL-2.0
//! A listening Unix socket that cleans up after itself.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

/// The socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens at `path`. The socket file of a server that has died is replaced.
    ///
    /// # Errors
    ///
    /// Something else is there, or somebody still listens there.
    pub fn bind(path: &Path) -> Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(meta) if !meta.file_type().is_socket() => {
                bail!(
                    "{} is there and is not a socket: choose another path",
                    path.display()
                );
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                bail!(
                    "somebody already listens at {}: end that server first",
                    path.display()
                );
            }
            Ok(_) => fs::remove_file(path)
                .with_context(|| format!("cannot remove the dead socket {}", path.display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot look at {}", path.display()))
            }
        }
        let socket = UnixListener::bind(path)
            .with_context(|| format!("cannot listen at {}", path.display()))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            path: path.to_owned(),
        })
    }

    /// Takes the next connection, if one waits.
    pub fn accept(&self) -> Option<UnixStream> {
        // Errors are the connection's (it went away) or pass (no descriptors left): epoll asks again.
        let (stream, _) = self.socket.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        Some(stream)
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may be gone already, with its directory.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_dead_socket_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::bind(&path).unwrap();
        assert!(Listener::bind(&path)
            .unwrap_err()
            .to_string()
            .contains("already listens"));
        drop(listener);
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        assert!(Listener::bind(&path)
            .unwrap_err()
            .to_string()
            .contains("not a socket"));
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }
}

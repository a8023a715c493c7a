//! A real server with the interface of S3 (versitygw over a folder), started from the program that
//! `xtask/install-test-tools.sh` builds.
//!
//! Promises: when [`S3::start`] returns, the server answers and has one bucket. After `kill` and `restart` it has the same
//! port and the same objects. Its folders go when it is dropped.

use crate::log::Log;
use crate::process::{Process, free_ports};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Also in `xtask/install-test-tools.sh`.
const VERSION: &str = "1.8.0";
const HINT: &str = "run ./xtask/install-test-tools.sh, which puts versitygw under target/test-tools";
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools/versitygw");
/// A server that cannot have its port ends; another is tried then.
const STARTS_MAX: usize = 5;
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct S3 {
    process: Mutex<Process>,
    log: Log,
    folder: TempDir,
    port: u16,
}

impl S3 {
    /// The id of the one access key.
    pub const ACCESS_KEY: &str = "florin-tests";
    /// Its secret.
    pub const SECRET_KEY: &str = "a-secret-of-no-value";
    /// The bucket that is there.
    pub const BUCKET: &str = "bank";
    /// The region that signatures are for.
    pub const REGION: &str = "us-east-1";

    /// A new server with an empty bucket.
    ///
    /// # Panics
    /// If it does not come up; the message says how to install it.
    pub fn start() -> S3 {
        let stamp = Path::new(TOOLS).join(format!("installed-{VERSION}"));
        assert!(stamp.exists(), "versitygw {VERSION} is not installed: {HINT}");
        for _ in 0..STARTS_MAX {
            let folder = TempDir::new().expect("a temporary folder");
            let [port] = free_ports();
            for part in ["versions", "data", &format!("data/{}", S3::BUCKET)] {
                std::fs::create_dir(folder.path().join(part)).expect("a folder in a temporary one");
            }
            let log = Log::new("versitygw", folder.path().join("log"));
            let s3 = S3 { process: Mutex::new(launch(folder.path(), &log, port)), log, folder, port };
            if s3.answers() {
                return s3;
            }
        }
        panic!("versitygw did not come up {STARTS_MAX} times: {HINT}");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Kills it at once, as a crash does.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it again after `kill`, with its objects and at its port, and waits until it answers.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&self) {
        *self.process() = launch(self.folder.path(), &self.log, self.port);
        assert!(self.answers(), "versitygw did not come up again");
    }

    /// Waits until it says that it is well; false if it ended instead.
    fn answers(&self) -> bool {
        self.process().comes_up(PATIENCE, || is_well(self.address()))
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_well(address: SocketAddr) -> bool {
    let ask = || {
        let mut connection = TcpStream::connect(address)?;
        connection.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        connection.read_exact(&mut answer)?;
        std::io::Result::Ok(answer == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn launch(folder: &Path, log: &Log, port: u16) -> Process {
    let program = Path::new(TOOLS).join("versitygw");
    let program = program.canonicalize().unwrap_or_else(|error| panic!("{TOOLS}: {error}: {HINT}"));
    let mut command = Command::new(program);
    command
        .args(["--access", S3::ACCESS_KEY, "--secret", S3::SECRET_KEY, "--region", S3::REGION])
        .args(["--port", &format!("127.0.0.1:{port}"), "--quiet", "--health", "/health", "posix", "--versioning-dir"])
        .arg(folder.join("versions"))
        .arg(folder.join("data"));
    Process::start_logged("versitygw", &command, log, HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_and_is_there_again_after_a_crash() {
        let s3 = S3::start();
        s3.kill();
        assert!(!is_well(s3.address()));
        s3.restart();
    }
}

//! A real Redis server, as the distribution has it.
//!
//! Promises: when [`Redis::start`] returns, the server answers. After `kill` and `restart` it has the same port, and nothing
//! of what it had. Its folder goes when it is dropped.

use crate::log::Log;
use crate::process::{Process, free_ports};
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

const HINT: &str = "install Redis: apt-get install redis-server, or run xtask/install-test-tools.sh";
/// A server that cannot have its port ends; another is tried then.
const STARTS_MAX: usize = 5;
/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct Redis {
    process: Mutex<Process>,
    log: Log,
    folder: TempDir,
    port: u16,
}

impl Redis {
    /// A new server with nothing in it.
    ///
    /// # Panics
    /// If it does not come up; the message says how to install it.
    pub fn start() -> Redis {
        for _ in 0..STARTS_MAX {
            let folder = TempDir::new().expect("a temporary folder");
            let [port] = free_ports();
            let log = Log::new("Redis", folder.path().join("log"));
            let redis = Redis { process: Mutex::new(launch(&folder, &log, port)), log, folder, port };
            if redis.answers() {
                return redis;
            }
        }
        panic!("Redis did not come up {STARTS_MAX} times: {HINT}");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Kills it at once, as a crash does.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it again after `kill`, empty and at its port, and waits until it answers.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&self) {
        *self.process() = launch(&self.folder, &self.log, self.port);
        assert!(self.answers(), "Redis did not come up again");
    }

    /// Stops it in the middle of what it does (SIGSTOP): connections stay, nothing is answered.
    pub fn pause(&self) {
        self.process().stop();
    }

    /// Has it go on after `pause`.
    pub fn resume(&self) {
        self.process().signal("CONT");
    }

    /// Says this to it, word by word, and returns the texts of its answer.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn say(&self, words: &[&[u8]]) -> Vec<Vec<u8>> {
        ask(self.address(), words).expect("Redis answers")
    }

    /// Waits until it says that it is well; false if it ended instead.
    fn answers(&self) -> bool {
        self.process().comes_up(PATIENCE, || ask(self.address(), &[b"PING"]).is_ok_and(|answer| answer == [b"PONG"]))
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(address: SocketAddr, words: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    let mut connection = TcpStream::connect(address)?;
    let mut request = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word);
        request.extend_from_slice(b"\r\n");
    }
    connection.write_all(&request)?;
    let mut texts = Vec::new();
    read(&mut BufReader::new(connection), &mut texts)?;
    Ok(texts)
}

/// One answer: a line, a text, or a list of answers.
fn read(reader: &mut BufReader<TcpStream>, texts: &mut Vec<Vec<u8>>) -> Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or(std::io::ErrorKind::UnexpectedEof)?;
    match (kind, rest.parse::<usize>()) {
        ("$", Ok(length)) => {
            let mut text = vec![0; length + 2];
            reader.read_exact(&mut text)?;
            text.truncate(length);
            texts.push(text);
        }
        ("*", Ok(count)) => {
            for _ in 0..count {
                read(reader, texts)?;
            }
        }
        _ => texts.push(rest.as_bytes().to_vec()),
    }
    Ok(())
}

fn launch(folder: &TempDir, log: &Log, port: u16) -> Process {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"])
        .args(["--daemonize", "no", "--dir"])
        .arg(folder.path());
    Process::start_logged("redis-server", &command, log, HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_and_is_empty_after_a_crash() {
        let redis = Redis::start();
        redis.say(&[b"SET", b"one", b"a\r\nb"]);
        assert_eq!(redis.say(&[b"MGET", b"one", b"one"]), [b"a\r\nb", b"a\r\nb"]);
        redis.kill();
        redis.restart();
        assert_eq!(redis.say(&[b"DBSIZE"]), [b"0"]);
    }
}

//! Runs the program `florin` to its end and keeps what it printed.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed as result.
    pub(crate) stdout: String,
    /// What it printed besides.
    pub(crate) stderr: String,
}

impl Run {
    /// The object on the last line of stdout.
    pub(crate) fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_else(|| panic!("there is nothing on stdout: {self:?}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("the last line is not JSON ({error}): {self:?}"))
    }

    /// The same run, which must have ended with this exit code.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// The program, without arguments and without the caller's configuration.
pub(crate) fn florin() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_florin"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FLORIN_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program with these arguments.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    finish(florin().args(arguments))
}

/// Runs a prepared program.
pub(crate) fn finish(command: &mut Command) -> Run {
    let output = command.output().expect("the program can be started");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("results are UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the program with these arguments and this on its stdin.
pub(crate) fn run_with_input<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>, input: &[u8]) -> Run {
    let mut child = florin()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    // A program that ends before it has read everything says why itself.
    _ = child.stdin.take().expect("stdin is piped").write_all(input);
    let output = child.wait_with_output().expect("the program can be waited for");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("results are UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

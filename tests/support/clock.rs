//! A bank at another time: its process is told the time by a library, and days pass by starting it again.

use super::bank::{Bank, Server, serve};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A bank whose clock a test sets.
#[derive(Debug)]
pub(crate) struct TimedBank {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    bank: Option<Bank>,
}

impl TimedBank {
    /// A new bank without tokens at a time such as `2026-10-30 10:00:00` UTC, with these keys of the configuration.
    pub(crate) fn open_at(time: &str, environment: &[(&'static str, &str)]) -> TimedBank {
        let folder = TempDir::new().expect("a temporary folder");
        let environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let mut bank = TimedBank { folder, environment, bank: None };
        bank.go_to(time);
        bank
    }

    /// The bank as it is now.
    pub(crate) fn bank(&self) -> &Bank {
        self.bank.as_ref().expect("it runs")
    }

    /// Stops the bank in good order and starts it again at this time.
    pub(crate) fn go_to(&mut self, time: &str) {
        if let Some(bank) = self.bank.take() {
            assert_eq!(bank.detach().terminate(), Some(0));
        }
        self.start(time);
    }

    /// Kills the bank and starts it again at this time.
    pub(crate) fn crash_and_go_to(&mut self, time: &str) {
        if let Some(bank) = self.bank.take() {
            bank.detach().kill();
        }
        self.start(time);
    }

    fn start(&mut self, time: &str) {
        let folder = self.folder.path().join("data");
        let mut command = serve(&folder);
        command.arg("--no-auth").envs(self.environment.iter().map(|(name, value)| (*name, value.as_str())));
        at(&mut command, time);
        self.bank = Some(Bank::attach(Server::start(&mut command), Path::new(&folder)));
    }
}

/// Has a program begin at this time, UTC.
pub(crate) fn at(command: &mut Command, time: &str) {
    command.envs(told(time));
}

/// The environment of a program that begins at this time, UTC.
pub(crate) fn told(time: &str) -> Vec<(OsString, OsString)> {
    let (library, time) = (faketime().into_os_string(), format!("@{time}").into());
    let others = [("TZ", "UTC"), ("DONT_FAKE_MONOTONIC", "1"), ("FAKETIME_DONT_RESET", "1")];
    let others = others.map(|(name, value)| (name.into(), value.into()));
    [("LD_PRELOAD".into(), library), ("FAKETIME".into(), time)].into_iter().chain(others).collect()
}

/// The library that tells a program another time.
pub(crate) fn faketime() -> PathBuf {
    let name = "faketime/libfaketimeMT.so.1";
    let folders = std::fs::read_dir("/usr/lib").expect("a folder of libraries").flatten();
    let mut found = folders.map(|folder| folder.path().join(name)).filter(|path| path.exists());
    found.next().expect("this test needs libfaketime: run xtask/install-test-tools.sh")
}

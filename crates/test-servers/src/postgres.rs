//! PostgreSQL servers: each in a folder of its own, copied from a template that is made once.
//!
//! A server costs a third of a second and 26 MB, so the tests of a process share [`Postgres::shared`], where each has a
//! database of its own. Tests that restart, kill or promote a server start one for themselves.

use crate::process::is_root;
use crate::{Process, comes_true, free_ports};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

const INSTALL: &str = "install PostgreSQL 15 or newer: apt-get install postgresql, or run xtask/install-test-tools.sh";
/// What the names of folders begin with, before the id of the process that made them.
const PREFIX: &str = "florin-postgres-";
/// Longest that a server may take to answer.
const READY_MAX: Duration = Duration::from_secs(60);

/// Variables of an environment, by name.
pub type Environment = Vec<(OsString, OsString)>;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    folder: tempfile::TempDir,
    port: u16,
    environment: Mutex<Environment>,
    process: Mutex<Option<Process>>,
    databases: AtomicU64,
}

/// The folder with PostgreSQL's programs.
///
/// # Panics
/// If there is none; the message says what to install.
fn programs() -> PathBuf {
    let newest = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let with_number = |entry: std::fs::DirEntry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        };
        let found = versions.filter_map(with_number).filter(|(_, path)| path.join("initdb").exists());
        found.max_by_key(|(version, _)| *version).map(|(_, path)| path)
    };
    let of_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
    };
    newest().or_else(of_path).unwrap_or_else(|| panic!("PostgreSQL is not installed: {INSTALL}"))
}

/// A command that runs as a user PostgreSQL accepts: it refuses to run as root.
fn as_server(program: &str) -> Command {
    as_server_of(&programs().join(program))
}

fn as_server_of(path: &Path) -> Command {
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    // A change of user clears the signal that ends it with its parent, so it is set again.
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "KILL", "--"]).arg(path);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started ({error}): {INSTALL}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A temporary folder that the server's user may enter and write to, in this one.
fn folder(parent: &Path) -> tempfile::TempDir {
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).expect("a temporary folder");
    if is_root() {
        run(Command::new("chown").arg("postgres:postgres").arg(folder.path()));
    }
    folder
}

/// Removes the folders of processes that are gone: what a process shares to its end nobody drops.
fn remove_left_over() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            // Somebody else may be removing it too.
            _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Kills every process that works in this folder, as all processes of a server do in that of its data.
fn kill_all_in(folder: &Path) {
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|works_in| works_in == folder) {
            // It may have ended by itself meanwhile.
            _ = Command::new("kill").arg("-KILL").arg(entry.file_name()).stderr(Stdio::null()).status();
        }
    }
}

/// The files of a fresh server, made once for a process.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    TEMPLATE
        .get_or_init(|| {
            remove_left_over();
            let folder = folder(&std::env::temp_dir());
            run(as_server("initdb")
                .arg("-D")
                .arg(folder.path().join("data"))
                .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums"])
                .args(["--no-sync", "--no-instructions"]));
            folder
        })
        .path()
}

impl Postgres {
    /// The server that the tests of this process share. It lives as long as the process.
    ///
    /// # Panics
    /// If it cannot be started; the message says what to install.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Postgres::start(""))
    }

    /// A server with these lines in its configuration besides the usual ones.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    pub fn start(settings: &str) -> Postgres {
        Postgres::start_under(&std::env::temp_dir(), settings)
    }

    /// As `start`, with its files in this folder.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    pub fn start_under(parent: &Path, settings: &str) -> Postgres {
        let folder = folder(parent);
        run(Command::new("cp").arg("-a").arg(template().join("data")).arg(folder.path().join("data")));
        Postgres::start_in(folder, settings, Environment::new())
    }

    /// As `start`, with these variables in its environment: to tell it another time.
    ///
    /// # Panics
    /// As [`Postgres::shared`].
    pub fn start_among(environment: Environment) -> Postgres {
        let folder = folder(&std::env::temp_dir());
        run(Command::new("cp").arg("-a").arg(template().join("data")).arg(folder.path().join("data")));
        Postgres::start_in(folder, "", environment)
    }

    /// Stops it in good order and starts it again with these variables in its environment.
    ///
    /// # Panics
    /// As [`Postgres::stop`] and [`Postgres::run`].
    pub fn start_again_among(&self, environment: Environment) {
        self.stop();
        *self.environment.lock().expect("nobody panics with the lock") = environment;
        self.run();
    }

    fn start_in(folder: tempfile::TempDir, settings: &str, environment: Environment) -> Postgres {
        let [port] = free_ports();
        let usual = "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 400\n\
            shared_buffers = 256MB\nmax_wal_size = 4GB\n";
        let lines = format!("{usual}port = {port}\n{settings}\n");
        let file = folder.path().join("data/postgresql.auto.conf");
        std::fs::write(&file, lines).expect("the configuration can be written");
        let (process, environment) = (Mutex::new(None), Mutex::new(environment));
        let server = Postgres { folder, port, process, environment, databases: AtomicU64::new(0) };
        server.run();
        server
    }

    /// Starts the server's process unless it is running, and waits until it answers. A server that was killed starts
    /// again once its other processes have ended.
    ///
    /// # Panics
    /// If it does not answer within a minute.
    pub fn run(&self) {
        let mut process = self.process.lock().expect("nobody panics with the lock");
        let still_running = process.take().and_then(|mut process| process.is_running().then_some(process));
        let mut running = still_running.unwrap_or_else(|| self.start_process());
        let is_up = comes_true(READY_MAX, || {
            if !running.is_running() {
                running = self.start_process();
            }
            self.is_ready()
        });
        assert!(is_up, "PostgreSQL does not answer; its log is in {:?}", self.folder.path());
        *process = Some(running);
    }

    fn start_process(&self) -> Process {
        // Its variables are its own: they would be another user's if they were there before the user changes.
        let mut command = as_server_of(Path::new("env"));
        command.args(self.environment.lock().expect("nobody panics with the lock").iter().map(|(name, value)| {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            variable
        }));
        command.arg(programs().join("postgres")).arg("-D").arg(self.folder.path().join("data"));
        command.args(["-c", "logging_collector=on", "-c", "log_directory=..", "-c", "log_filename=log"]);
        Process::start("PostgreSQL", &command, INSTALL)
    }

    fn is_ready(&self) -> bool {
        let mut ready = Command::new(programs().join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
        ready.status().is_ok_and(|status| status.success())
    }

    /// The port it listens on, on the loopback interface.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its data and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of one of its databases, for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes an empty database; returns its URL.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn create_database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::SeqCst));
        // Two at once would both want the template, which the server refuses.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.psql("postgres", &format!("create database {name}"));
        self.url(&name)
    }

    /// Runs statements as the superuser; returns what they print, columns separated by `|`.
    ///
    /// # Panics
    /// If one fails.
    pub fn psql(&self, database: &str, text: &str) -> String {
        let mut command = Command::new(programs().join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text, &self.url(database)]);
        run(&mut command).trim_end().to_string()
    }

    /// Runs statements at this URL; returns what they print and what the server says, also where one fails.
    ///
    /// # Panics
    /// If `psql` cannot be started.
    pub fn try_psql(&self, url: &str, text: &str) -> String {
        let mut command = Command::new(programs().join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-c", text, url]);
        let output = command.output().unwrap_or_else(|error| panic!("psql cannot be started ({error}): {INSTALL}"));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Kills all of its processes at once, as a crash does.
    ///
    /// # Panics
    /// If it is not running.
    pub fn kill(&self) {
        let mut process = self.process.lock().expect("nobody panics with the lock");
        process.as_mut().expect("the server is running").kill();
        *process = None;
        // The others see that the first is gone, and end; but for one that waits for a lock of one that has ended.
        kill_all_in(&self.folder.path().join("data"));
    }

    /// Stops it as an operator does: connections are closed, what was committed is written.
    ///
    /// # Panics
    /// If it is not running.
    pub fn stop(&self) {
        let mut process = self.process.lock().expect("nobody panics with the lock");
        let running = process.as_mut().expect("the server is running");
        running.signal("INT");
        running.wait();
        *process = None;
    }

    /// A standby that follows this server, under this name. Commits wait for it once `synchronous_standby_names` says so.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn standby(&self, name: &str) -> Postgres {
        let folder = folder(&std::env::temp_dir());
        let source = format!("host=127.0.0.1 port={} user=postgres application_name={name}", self.port);
        run(as_server("pg_basebackup").arg("-D").arg(folder.path().join("data")).args([
            "-d",
            &source,
            "-X",
            "stream",
            "-c",
            "fast",
            "--no-sync",
        ]));
        let signal = folder.path().join("data/standby.signal");
        std::fs::write(signal, "").expect("the standby's folder can be written");
        Postgres::start_in(folder, &format!("primary_conninfo = '{source}'\nhot_standby = on"), Environment::new())
    }

    /// Makes a standby the primary.
    ///
    /// # Panics
    /// If it is none.
    pub fn promote(&self) {
        self.psql("postgres", "select pg_promote(true, 30)");
    }

    /// Changes a setting, and waits until it holds for every commit that begins afterwards.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn set(&self, setting: &str, value: &str) {
        let loaded_at = || self.psql("postgres", "select pg_conf_load_time()");
        let before = loaded_at();
        self.psql("postgres", &format!("alter system set {setting} = '{value}'"));
        self.psql("postgres", "select pg_reload_conf()");
        assert!(comes_true(READY_MAX, || loaded_at() != before), "PostgreSQL does not read its settings again");
        // Which standbys commits wait for is told them by the checkpointer, when it has read them too.
        self.psql("postgres", "checkpoint");
    }
}

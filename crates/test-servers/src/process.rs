//! Child processes that never outlive their test, and ports that nobody else has.

use crate::log::Log;
use crate::waiting::comes_true;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A running server. Its process is killed when this is dropped, and by the system when the test's process ends.
#[derive(Debug)]
pub struct Process {
    child: Child,
    what: &'static str,
}

type Job = (Command, Sender<std::io::Result<Child>>);

impl Process {
    /// Starts a prepared command through `setpriv`, which has the system kill it when this process is gone.
    ///
    /// # Panics
    /// If it cannot be started; `hint` says what to install.
    pub fn start(what: &'static str, command: &Command, hint: &str) -> Process {
        Process::start_wrapped(what, wrapped(command), hint)
    }

    /// As `start`; what it prints goes to its log.
    ///
    /// # Panics
    /// As [`Process::start`].
    pub fn start_logged(what: &'static str, command: &Command, log: &Log, hint: &str) -> Process {
        let mut wrapped = wrapped(command);
        wrapped.stdin(Stdio::null()).stdout(log.file()).stderr(log.file());
        Process::start_wrapped(what, wrapped, hint)
    }

    fn start_wrapped(what: &'static str, wrapped: Command, hint: &str) -> Process {
        let child = spawn(wrapped).unwrap_or_else(|error| panic!("{what} cannot be started ({error}): {hint}"));
        Process { child, what }
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it again and again, for so long: another program gives no sign when it is ready. False if it ended instead.
    pub fn comes_up(&mut self, patience: Duration, answers: impl Fn() -> bool) -> bool {
        let mut is_up = false;
        comes_true(patience, || {
            is_up = self.is_running() && answers();
            is_up || !self.is_running()
        });
        is_up
    }

    /// Kills it at once, as a crash does, and waits until it is gone.
    pub fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Sends it a signal by name, such as `INT`.
    ///
    /// # Panics
    /// If there is no such process or signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "{} takes no signal {name}", self.what);
    }

    /// Stops it in the middle of what it does (SIGSTOP), and waits until all its threads have stopped.
    ///
    /// # Panics
    /// If it is gone.
    pub fn stop(&self) {
        self.signal("STOP");
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let waited = waitpid(id, WaitOptions::UNTRACED).expect("a child can be waited for");
        assert!(waited.is_some_and(|(_, status)| status.stopped()), "{} ended instead of stopping", self.what);
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

fn wrapped(command: &Command) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

/// The system's signal comes when the thread ends that started the child, and every test is a thread of its own. So
/// all are started by one thread that lives as long as the process.
fn spawn(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<std::sync::Mutex<Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver): (Sender<Job>, Receiver<Job>) = channel();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                _ = reply.send(command.spawn());
            }
        });
        std::sync::Mutex::new(sender)
    });
    let (reply, answer) = channel();
    let sender = spawner.lock().expect("nobody panics while starting a child").clone();
    sender.send((command, reply)).expect("the thread that starts children lives as long as the process");
    answer.recv().expect("the thread that starts children answers")
}

/// So many ports of the loopback interface that were free just now, all different.
///
/// # Panics
/// If the system has no free port.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners: [TcpListener; COUNT] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound listener has an address").port())
}

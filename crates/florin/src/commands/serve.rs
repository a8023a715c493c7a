//! `florin serve`: the bank over HTTP, until it is told to stop.
//!
//! Promises: its first and only line on stdout says where it listens, once it does. A new bank has an admin token, in a
//! file of mode 0600, before anybody can ask it anything. A first SIGTERM (or Ctrl-C) stops accepting, finishes what is
//! under way, writes a checkpoint and ends with 0; a second one ends at once.

#[cfg(feature = "kafka")]
use crate::adapters::kafka::Kafka;
use crate::adapters::secret_file;
use crate::cli::Serve;
use crate::config::{Config, EngineKind};
use crate::failure::{ExitStatus, Failure};
use crate::jobs::{RunningJobs, write_figures};
use crate::keepers;
use crate::postmen::Postmen;
use crate::program::{OpenBank, Program};
use bank::Caller;
use bank::token::TokenText;
use ledger::event::Channel;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use web::{App, Settings};

/// Adds to the text of `/metrics`.
type Figures = Arc<dyn Fn(&mut String) + Send + Sync>;

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Serve) -> Result<(), Failure> {
    let listen = command.listen.unwrap_or(program.config.serve.listen);
    if command.no_auth && !listen.ip().is_loopback() {
        return Err(Failure::usage(
            format!("--no-auth lets everybody who reaches {listen} move money"),
            "listen on a loopback address such as 127.0.0.1:7878, or leave --no-auth out and use tokens",
        ));
    }
    program.config.kafka.check()?;
    allow_connections(program.config.serve.connections_max.get());
    warn_of_files_of_one_node(program);
    #[cfg(feature = "kafka")]
    let bus = crate::adapters::kafka::bus(&program.config.kafka)?;
    #[cfg(not(feature = "kafka"))]
    let bus = None;
    let open = program.open_bank_over(command.shards, bus.as_ref())?;
    let served = program.runtime.block_on(async {
        make_first_token(&open, program.folder()).await?;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            Failure::fault(
                format!("cannot listen on {listen}: {error}"),
                "choose another address with --listen; port 0 picks a free one",
            )
        })?;
        let stop = Stop::listen()?;
        let postmen = Postmen::start(&open, &program.config, program.folder()).await?;
        serve(&open, listener, command.no_auth, &program.config, &postmen, stop).await
    });
    let closed = open.shut_down();
    served.and(closed)
}

async fn serve(
    open: &OpenBank,
    listener: TcpListener,
    no_auth: bool,
    config: &Config,
    postmen: &Postmen,
    stop: Stop,
) -> Result<(), Failure> {
    let unusable =
        |error: std::io::Error| Failure::fault(format!("the listening socket failed: {error}"), "start again");
    let address = listener.local_addr().map_err(unusable)?;
    let is_loopback = address.ip().is_loopback();
    #[cfg(feature = "kafka")]
    let kafka = Kafka::start(&config.kafka, open.bank.clone(), open.env.clone(), Handle::current())?;
    let figures = postmen.figures();
    #[cfg(feature = "kafka")]
    let figures = both(figures, kafka.figures());
    let connections_max = usize::try_from(config.serve.connections_max.get()).unwrap_or(usize::MAX);
    let scheduler = open.scheduler.clone();
    let figures = both(figures, Arc::new(move |out: &mut String| write_figures(&scheduler, out)));
    let settings = Settings {
        no_auth,
        is_loopback,
        rate_limit: config.serve.rate_limit,
        connections_max,
        streams_max: connections_max,
        statements: Some(open.statement_settings(config)),
        interest: Some(open.interest.clone()),
        notifications: Some(open.notification_settings(config, postmen.web_push_key())),
        standing_orders: Some(open.standing_orders.clone()),
        scheduler: Some(open.scheduler.clone()),
        more_figures: Some(web::MoreFigures(figures)),
        exchanges: Some(open.exchanges(config)),
        fees: Some(open.fees()),
        ..Settings::default()
    };
    let _keepers = config.cache.redis.0.is_some().then(|| keepers::keep_histories(open));
    let app = App::new(open.bank.clone(), settings);
    let jobs = RunningJobs::start(&Handle::current(), &open.scheduler);
    let mut stdout = std::io::stdout();
    // Whoever started this may not want to know where it listens; it serves all the same.
    _ = writeln!(stdout, "florin is listening on http://{address}").and_then(|()| stdout.flush());
    let served = web::server::serve(listener, app, stop.first()).await.map_err(unusable);
    drop(jobs);
    #[cfg(feature = "kafka")]
    kafka.stop();
    postmen.stop(open.env.as_ref()).await;
    served
}

/// What one says, and then the other.
fn both(first: Figures, second: Figures) -> Figures {
    Arc::new(move |text| {
        first(text);
        second(text);
    })
}

/// A folder of its own for each of several nodes hides from one what another made.
fn warn_of_files_of_one_node(program: &Program) {
    let config = &program.config;
    let has_bucket = config.objects.bucket.is_some();
    if config.storage.engine == EngineKind::Postgres && config.statements.folder.is_none() && !has_bucket {
        tracing::warn!(
            "statements are kept on this machine only, in {}: for several nodes, name a folder that all share in \
             statements.folder, or a bucket in objects.bucket",
            program.objects_folder().display()
        );
    }
}

/// Each connection is an open file, of which a process may have few unless it asks for more. Files of the data folder and
/// connections to databases need some besides.
fn allow_connections(connections: u32) {
    let wanted = u64::from(connections) + 1024;
    let known = getrlimit(Resource::Nofile);
    if known.current.is_none_or(|current| wanted <= current) {
        return;
    }
    let current = Some(known.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
    let allowed = setrlimit(Resource::Nofile, Rlimit { current, maximum: known.maximum });
    if allowed.is_err() || current != Some(wanted) {
        tracing::warn!(
            "this process may not open {wanted} files, so that it serves fewer than {connections} connections"
        );
    }
}

/// A bank without any token gets one for its operator. The file is there before the token counts, so that no crash
/// leaves a bank that nobody can use.
async fn make_first_token(open: &OpenBank, folder: &Path) -> Result<(), Failure> {
    let operator = Caller::local(Channel::Timer);
    if !open.bank.tokens(&operator).await?.is_empty() {
        return Ok(());
    }
    let token = TokenText::generate(open.env.as_ref());
    let path = folder.join("admin.token");
    secret_file::create(&path, format!("{}\n", token.as_str()).as_bytes())?;
    if open.bank.create_first_admin_token(&token).await? {
        tracing::info!("wrote the token of the new bank's operator to {}", path.display());
    }
    Ok(())
}

/// The signals that end the program.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn listen() -> Result<Stop, Failure> {
        let refused = |error: std::io::Error| {
            Failure::fault(format!("cannot listen for signals: {error}"), "check the limits of this machine")
        };
        Ok(Stop {
            terminate: signal(SignalKind::terminate()).map_err(refused)?,
            interrupt: signal(SignalKind::interrupt()).map_err(refused)?,
        })
    }

    /// Waits for the first signal, and has the second one end the program at once.
    async fn first(mut self) {
        self.next().await;
        tracing::info!("stopping: finishing what is under way; a second signal ends at once");
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(ExitStatus::Fault as i32);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

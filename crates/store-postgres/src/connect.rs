//! Connections: how a shard's database is reached, and what every session is told before it does anything.

use crate::error::{PostgresError, told};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Longest wait for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Why a primary is not used that is older than one this node has met.
pub(crate) const OLD_PRIMARY: &str = "it is an old primary: another one was promoted, which this node has seen";
/// Longest that bytes which were sent may stay unacknowledged before a connection counts as broken.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// How a shard's database is reached.
#[derive(Clone)]
pub(crate) struct Place {
    config: Config,
    tls: MakeRustlsConnect,
    name: String,
    newest: Arc<Mutex<Newest>>,
}

/// The newest primary that this node has met there.
#[derive(Debug, Default)]
struct Newest {
    /// Of its head: each promotion raises it.
    epoch: u64,
    /// When it was first met; none before there were two.
    met_at: Option<Instant>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// What a session is for; each kind is told other limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Batches: nothing may cut a commit short, so statements have no timeout; waiting for the lock has one.
    Commit,
    /// Reads of requests.
    Read,
    /// Long walks.
    Verify,
    /// Changes of the schema.
    Migrate,
}

impl Purpose {
    /// The settings of the session. They come with its start, so that no round trip is spent on them.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Purpose::Commit => &[
                ("statement_timeout", "0"),
                ("lock_timeout", "10s"),
                ("idle_in_transaction_session_timeout", "2s"),
                ("client_connection_check_interval", "1s"),
                ("synchronous_commit", "on"),
                // Every statement has its index, also before statistics know how the tables have grown.
                ("enable_seqscan", "off"),
                ("plan_cache_mode", "force_generic_plan"),
                ("jit", "off"),
            ],
            Purpose::Read => &[
                ("statement_timeout", "30s"),
                ("lock_timeout", "5s"),
                ("idle_in_transaction_session_timeout", "5s"),
                ("synchronous_commit", "on"),
                ("jit", "off"),
            ],
            Purpose::Verify => &[("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "10min")],
            Purpose::Migrate => &[("statement_timeout", "0"), ("lock_timeout", "10s")],
        }
    }
}

impl Place {
    /// The place that a URL names. With a file of certificates the connection is encrypted and the server's certificate
    /// checked against them, name included; without one it is not encrypted.
    ///
    /// # Errors
    /// A URL or a file that cannot be used.
    pub(crate) fn new(shard: u16, url: &str, ca_file: Option<&PathBuf>) -> Result<Place, PostgresError> {
        let unusable = |reason: String| PostgresError::Url { shard, reason };
        let mut config: Config = url.parse().map_err(|error| unusable(crate::error::chain(&error)))?;
        if config.get_dbname().is_none() || config.get_hosts().is_empty() {
            return Err(unusable("it names no host or no database".into()));
        }
        if ca_file.is_none() && config.get_ssl_mode() == SslMode::Require {
            return Err(unusable(
                "it asks for TLS, so name the file of certificates to check the server's with".into(),
            ));
        }
        config.ssl_mode(if ca_file.is_some() { SslMode::Require } else { SslMode::Disable });
        config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(USER_TIMEOUT).keepalives(true);
        config
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
        // Of several hosts the one that takes writes: after a failover that is the standby that was promoted.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        config.application_name("florin");
        let tls = tls(ca_file).map_err(unusable)?;
        Ok(Place { tls, name: name(&config), config, newest: Arc::default() })
    }

    /// Host, port and database, without user and password.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that a primary with this epoch was met; whether it is not older than the newest.
    #[expect(clippy::disallowed_methods, reason = "tells which connections are older than a promotion")]
    pub(crate) fn meets(&self, epoch: u64) -> bool {
        let mut newest = self.newest();
        if newest.epoch < epoch {
            newest.met_at = (newest.epoch != 0).then(Instant::now);
            newest.epoch = epoch;
        }
        newest.epoch == epoch
    }

    /// Whether a connection of this moment may lead to an older primary than the newest.
    pub(crate) fn is_older(&self, connected_at: Instant) -> bool {
        self.newest().met_at.is_some_and(|met_at| connected_at < met_at)
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings of a connection for this purpose.
    pub(crate) fn config(&self, purpose: Purpose) -> Config {
        let mut config = self.config.clone();
        let mut options = config.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        for (setting, value) in purpose.settings() {
            options.push_str(&format!("-c {setting}={value} "));
        }
        config.options(options.trim_end());
        config
    }

    /// What makes connections encrypted, where they are.
    pub(crate) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// The failure of a connection or statement there.
    pub(crate) fn failed(&self, error: &tokio_postgres::Error) -> PostgresError {
        PostgresError::Database { place: self.name.clone(), reason: told(error) }
    }

    /// That the database cannot be used now.
    pub(crate) fn away(&self, reason: &str) -> PostgresError {
        PostgresError::Database { place: self.name.clone(), reason: reason.into() }
    }

    /// That the database cannot be used as it is.
    pub(crate) fn unfit(&self, reason: impl Into<String>) -> PostgresError {
        PostgresError::Unfit { place: self.name.clone(), reason: reason.into() }
    }

    /// Connects. The connection's own task ends with it, and notes warnings.
    pub(crate) async fn connect(&self, purpose: Purpose) -> Result<Connected, PostgresError> {
        let config = self.config(purpose);
        let (client, mut connection) = config.connect(self.tls()).await.map_err(|error| self.failed(&error))?;
        let warned = Arc::new(AtomicBool::new(false));
        let warnings = warned.clone();
        tokio::spawn(async move {
            while let Some(Ok(heard)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notice(notice) = heard
                    && notice.parsed_severity() == Some(Severity::Warning)
                {
                    tracing::warn!(code = notice.code().code(), "the database warns: {}", notice.message());
                    warnings.store(true, Ordering::SeqCst);
                }
            }
        });
        Ok(Connected { client, warned })
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    /// Whether the server warned since this was last looked at. Of a commit that means: do not believe it yet.
    pub(crate) warned: Arc<AtomicBool>,
}

fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| match host {
        Host::Tcp(host) => format!("{host}:{}", port(index)),
        Host::Unix(path) => path.display().to_string(),
    });
    format!("{}/{}", hosts.collect::<Vec<_>>().join(","), config.get_dbname().unwrap_or_default())
}

fn tls(ca_file: Option<&PathBuf>) -> Result<MakeRustlsConnect, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let unreadable = |error: &dyn std::error::Error| format!("the certificates in {}: {error}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
            roots.add(certificate.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
        }
        if roots.is_empty() {
            return Err(format!("{} has no certificate", path.display()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

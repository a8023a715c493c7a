//! What every command starts with: configuration, way out, runtime, and the bank in its data folder.

use crate::adapters::env::Machine;
use crate::adapters::keys::Keys;
use crate::adapters::messengers::outbox::OutboxFolder;
#[cfg(feature = "s3")]
use crate::adapters::object_bucket::ObjectBucket;
use crate::adapters::object_folder::ObjectFolder;
use crate::adapters::printer::Printer;
#[cfg(feature = "redis")]
use crate::adapters::shared_cache::RedisCache;
use crate::cli::{Global, Remote};
use crate::client::Server;
use crate::config::Config;
use crate::failure::Failure;
use crate::jobs;
use crate::output::Output;
use crate::storage::{Engine, may_have_bank};
use crate::workers::Workers;
use bank::Bank;
use bank::error::BankError;
use bank::exchange::Exchanges;
use bank::fee::Fees;
use bank::interest::Interest;
use bank::notification::Notifications;
use bank::ports::{Bus, ObjectStore, Records};
use bank::schedule::Scheduler;
use bank::standing_order::StandingOrders;
use bank::statement::kept::Statements;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::{Handle, Runtime};
use web::{NotificationSettings, StatementSettings};

/// See the module.
#[derive(Debug)]
pub(crate) struct Program {
    /// The configuration, the command line's part included.
    pub(crate) config: Config,
    /// The way out.
    pub(crate) output: Output,
    /// What futures run on.
    pub(crate) runtime: Runtime,
}

/// A bank over its data folder, which stays locked until it is shut down.
pub(crate) struct OpenBank {
    /// The bank.
    pub(crate) bank: Arc<Bank>,
    /// Its clock, randomness and waiting.
    pub(crate) env: Arc<Machine>,
    /// The keys of its sealed data.
    pub(crate) keyring: Arc<Keys>,
    /// Its small records beside the journal.
    pub(crate) records: Arc<dyn Records>,
    /// The interest of its accounts, and its business date.
    pub(crate) interest: Interest,
    /// Its standing orders.
    pub(crate) standing_orders: StandingOrders,
    /// Its jobs, which run only where they are started.
    pub(crate) scheduler: Arc<Scheduler>,
    /// Its statements.
    pub(crate) statements: Statements,
    /// What it tells customers and other systems.
    pub(crate) notifications: Arc<Notifications>,
    engine: Engine,
    workers: Workers,
    runtime: Handle,
}

impl Program {
    /// Reads the configuration and starts the runtime.
    ///
    /// # Errors
    /// Wrong usage, or a fault of the machine.
    pub(crate) fn new(global: &Global) -> Result<Program, Failure> {
        let mut config = crate::config::load(global.config.as_deref())?;
        if let Some(folder) = &global.data {
            config.data.folder.clone_from(folder);
        }
        let runtime = Runtime::new().map_err(|error| {
            Failure::fault(format!("cannot start threads: {error}"), "check the limits of this machine")
        })?;
        Ok(Program { config, output: Output::new(global), runtime })
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.config.data.folder
    }

    /// The server to work through, if the command line or the configuration names one.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn server(&self, remote: &Remote) -> Result<Option<Server>, Failure> {
        let client = &self.config.client;
        let token_file = remote.token_file.as_deref().or(client.token_file.as_deref());
        match remote.url.as_deref().or(client.url.as_deref()) {
            Some(url) => Server::new(url, token_file).map(Some),
            None if remote.token_file.is_some() => {
                Err(Failure::usage("--token-file is for a server, but no --url is given", "add --url http://HOST:PORT"))
            }
            None => Ok(None),
        }
    }

    /// Opens the bank, or makes a new one where there is none. A number of shards must be the folder's.
    ///
    /// # Errors
    /// As the engine and the keyring say.
    pub(crate) fn open_bank(&self, shards: Option<NonZeroU16>) -> Result<OpenBank, Failure> {
        self.open_bank_over(shards, None)
    }

    /// As `open_bank`; the shards tell each other over this bus.
    ///
    /// # Errors
    /// As [`Program::open_bank`].
    pub(crate) fn open_bank_over(
        &self,
        shards: Option<NonZeroU16>,
        bus: Option<&Arc<dyn Bus>>,
    ) -> Result<OpenBank, Failure> {
        self.config.currencies.check()?;
        let env = Arc::new(Machine::new());
        let engine = Engine::open(&self.config, shards.or(self.config.serve.shards), &env)?;
        for note in engine.notes() {
            tracing::warn!("{note}");
        }
        let stores = engine.stores();
        let keyring = Arc::new(engine.open_keys(&self.config, self.runtime.handle())?);
        let records: Arc<dyn Records> = Arc::new(engine.open_records(&self.config)?);
        let bank = Bank::new(stores, env.clone(), keyring.clone());
        let bank = Arc::new(bank.with_effective_at_days_max(self.config.business.effective_at_days_max));
        self.runtime.block_on(bank.reload_placement())?;
        self.share_histories(&bank, &env)?;
        let notifications = self.notifications(&bank, &records)?;
        let statements = self.statements(&bank, &env)?.told_by(notifications.clone());
        let runtime = self.runtime.handle().clone();
        let workers = Workers::start(&runtime, &bank, bus, &self.config.sagas);
        let interest = Interest::new(bank.clone(), records.clone(), self.config.business.time_zone.clone());
        let calendar = self.config.business.calendar();
        let standing_orders =
            StandingOrders::new(bank.clone(), records.clone(), calendar).told_by(notifications.clone());
        let scheduler =
            jobs::scheduler(&self.config, &interest, &standing_orders, &statements, (&records, env.clone()));
        let scheduler = Arc::new(scheduler);
        Ok(OpenBank {
            bank,
            env,
            keyring,
            records,
            interest,
            standing_orders,
            scheduler,
            statements,
            notifications,
            engine,
            workers,
            runtime,
        })
    }

    /// Has nodes share what they know of histories, where a cache is configured.
    #[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "there is no cache without Redis"))]
    fn share_histories(&self, bank: &Bank, env: &Arc<Machine>) -> Result<(), Failure> {
        self.config.cache.check()?;
        #[cfg(feature = "redis")]
        {
            let _runtime = self.runtime.enter();
            if let Some(cache) = RedisCache::new(&self.config.cache, env.clone())? {
                bank.share_histories(Arc::new(cache));
            }
        }
        Ok(())
    }

    fn statements(&self, bank: &Arc<Bank>, env: &Arc<Machine>) -> Result<Statements, Failure> {
        let printer = Printer::new(&self.config.statements)?;
        Ok(Statements::new(bank.clone(), self.objects(env)?, Arc::new(printer)))
    }

    /// Where files for customers are kept: the bucket that is configured, else a folder.
    #[cfg_attr(not(feature = "s3"), expect(unused_variables, reason = "a folder needs no clock"))]
    fn objects(&self, env: &Arc<Machine>) -> Result<Arc<dyn ObjectStore>, Failure> {
        self.config.objects.check(self.config.statements.link_s)?;
        #[cfg(feature = "s3")]
        if self.config.objects.bucket.is_some() {
            return Ok(Arc::new(ObjectBucket::new(&self.config.objects, env.clone())?));
        }
        Ok(Arc::new(ObjectFolder::new(self.objects_folder())))
    }

    fn notifications(&self, bank: &Arc<Bank>, records: &Arc<dyn Records>) -> Result<Arc<Notifications>, Failure> {
        let texts = crate::adapters::message_texts::read(&self.config)?;
        let settings = crate::postmen::settings(&self.config);
        let outbox = Arc::new(OutboxFolder::of(self.folder()));
        Ok(Arc::new(Notifications::new(bank.clone(), records.clone(), texts, settings).putting_aside(outbox)))
    }

    /// Where files for customers are kept.
    pub(crate) fn objects_folder(&self) -> PathBuf {
        self.config.statements.folder.clone().unwrap_or_else(|| self.folder().join("objects"))
    }

    /// Opens the bank in a folder that must have one already.
    ///
    /// # Errors
    /// As [`Program::open_bank`]; wrong usage where there is no bank.
    pub(crate) fn open_existing_bank(&self) -> Result<OpenBank, Failure> {
        self.expect_bank()?;
        self.open_bank(None)
    }

    /// # Errors
    /// Wrong usage where there is no bank.
    pub(crate) fn expect_bank(&self) -> Result<(), Failure> {
        if may_have_bank(&self.config) {
            return Ok(());
        }
        let folder = self.folder();
        Err(Failure::usage(
            format!("there is no bank in {}", folder.display()),
            "name its folder with --data DIR, or make one with `florin demo` or `florin serve`",
        ))
    }
}

impl OpenBank {
    /// How its statements are given out.
    pub(crate) fn statement_settings(&self, config: &Config) -> StatementSettings {
        let config = &config.statements;
        let public_url = config.public_url.clone();
        StatementSettings { statements: self.statements.clone(), link_seconds: config.link_s, public_url }
    }

    /// How its notifications are served.
    pub(crate) fn notification_settings(&self, config: &Config, web_push_key: Option<String>) -> NotificationSettings {
        NotificationSettings {
            notifications: self.notifications.clone(),
            web_push_key,
            allow_private_push: config.web_push.allow_private,
            allow_private_webhooks: config.webhooks.allow_private,
        }
    }

    /// Its fees.
    pub(crate) fn fees(&self) -> Fees {
        Fees::new(self.bank.clone(), self.records.clone())
    }

    /// How it exchanges currencies.
    pub(crate) fn exchanges(&self, config: &Config) -> Exchanges {
        Exchanges::new(self.bank.clone(), self.records.clone(), config.currencies.settings())
    }

    /// Finishes what was begun, transfers between shards among it, writes a checkpoint and unlocks the folder.
    ///
    /// # Errors
    /// A fault of the engine.
    pub(crate) fn shut_down(self) -> Result<(), Failure> {
        drop(self.workers);
        if let Err(fault) = self.runtime.block_on(self.bank.finish_sagas()) {
            tracing::warn!("transfers between shards stay pending until the next start: {fault}");
        }
        self.engine.shut_down()
    }
}

impl From<BankError> for Failure {
    fn from(error: BankError) -> Failure {
        match error {
            BankError::Fault(fault) => fault.into(),
            BankError::Malformed { .. } => Failure::usage(error.to_string(), "correct it and run the command again"),
            BankError::Refused { .. } | BankError::Forbidden { .. } | BankError::NotAvailableYet { .. } => {
                Failure::no(error.to_string(), "")
            }
        }
    }
}

/// How this program was called, so that the commands that it suggests work as they are typed.
pub(crate) fn as_called() -> String {
    let name = std::env::args_os().next().filter(|name| !name.is_empty());
    shell_word(&name.map_or_else(|| "florin".into(), |name| name.to_string_lossy().into_owned()))
}

/// A text as a shell takes it for one word.
pub(crate) fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(shell_word("target/release/florin"), "target/release/florin");
        assert_eq!(shell_word("my data"), "'my data'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}

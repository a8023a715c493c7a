//! Redis as the cache that nodes share. While it does not answer it is left alone for a moment, so that reads are not slowed
//! by each waiting for it.

use crate::adapters::env::Machine;
use crate::config::Cache;
use crate::failure::Failure;
use bank::ports::{Boxed, Env, SharedCache};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use store::Fault;

/// For how long a server is left alone that did not answer, in microseconds.
const REST_US: u64 = 1_000_000;

/// See the module.
pub(crate) struct RedisCache {
    connection: ConnectionManager,
    env: Arc<Machine>,
    prefix: String,
    keep_s: u64,
    timeout: Duration,
    /// Until when it is left alone.
    rests_until_us: AtomicU64,
    /// Whether it was said that it does not answer.
    is_told: AtomicBool,
}

impl RedisCache {
    /// The server that is configured, if one is. It is connected to when it is first asked. To be called where futures run.
    ///
    /// # Errors
    /// Wrong usage for what is no URL of a server.
    pub(crate) fn new(config: &Cache, env: Arc<Machine>) -> Result<Option<RedisCache>, Failure> {
        let Some(url) = &config.redis.0 else { return Ok(None) };
        // What the library says of a URL may have the password in it.
        let wrong = |_: RedisError| {
            Failure::usage("cache.redis is no URL of a Redis server", "write one such as redis://127.0.0.1:6379/0")
        };
        let timeout = Duration::from_millis(config.timeout_ms.get());
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let client = Client::open(url.as_str()).map_err(wrong)?;
        let connection = ConnectionManager::new_lazy_with_config(client, settings).map_err(wrong)?;
        let (rests_until_us, is_told) = Default::default();
        let (prefix, keep_s) = (config.prefix.clone(), config.keep_s.get());
        Ok(Some(RedisCache { connection, env, prefix, keep_s, timeout, rests_until_us, is_told }))
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn ask<T: FromRedisValue>(
        &self,
        asked: impl for<'c> FnOnce(&'c mut ConnectionManager) -> RedisFuture<'c, T>,
    ) -> Result<T, Fault> {
        let away = |reason: String| Fault::Unavailable { reason: format!("the cache of histories: {reason}") };
        if self.env.now().microseconds() < self.rests_until_us.load(Ordering::Relaxed) {
            return Err(away("it did not answer a moment ago".into()));
        }
        let mut connection = self.connection.clone();
        // Connecting again counts as well.
        let answer = match tokio::time::timeout(self.timeout, asked(&mut connection)).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} ms", self.timeout.as_millis())),
        };
        match answer {
            Ok(answer) => {
                if self.is_told.swap(false, Ordering::Relaxed) {
                    tracing::info!("the cache of histories answers again");
                }
                Ok(answer)
            }
            Err(reason) => {
                self.rests_until_us.store(self.env.now().microseconds() + REST_US, Ordering::Relaxed);
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!("reads go on without the cache of histories: {reason}");
                }
                Err(away(reason))
            }
        }
    }
}

impl SharedCache for RedisCache {
    fn get<'a>(&'a self, names: &'a [String]) -> Boxed<'a, Result<Vec<Option<Vec<u8>>>, Fault>> {
        let mut command = Cmd::new();
        command.arg("MGET");
        for name in names {
            command.arg(self.key(name));
        }
        Box::pin(self.ask(move |connection| Box::pin(async move { command.query_async(connection).await })))
    }

    fn put(&self, values: Vec<(String, Vec<u8>)>) -> Boxed<'_, Result<(), Fault>> {
        let mut commands = Pipeline::new();
        for (name, value) in values {
            commands.cmd("SET").arg(self.key(&name)).arg(value).arg("EX").arg(self.keep_s).ignore();
        }
        Box::pin(self.ask(move |connection| Box::pin(async move { commands.query_async(connection).await })))
    }
}

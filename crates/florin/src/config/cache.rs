//! The section `cache` of the configuration: what the nodes of a bank share for reads.

use crate::config::objects::Secret;
use crate::failure::Failure;
use serde::Deserialize;
use std::num::NonZeroU64;

/// Section `cache`. Nothing of it is on unless a server is named.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cache {
    /// The URL of a Redis server, such as `redis://:password@127.0.0.1:6379/0`. It may hold a password, so it is never shown.
    pub(crate) redis: Secret,
    /// What names in it begin with; banks that share a server differ in it.
    pub(crate) prefix: String,
    /// For how many seconds something is kept that nobody renews.
    pub(crate) keep_s: NonZeroU64,
    /// For how long a read waits for the server, in milliseconds.
    pub(crate) timeout_ms: NonZeroU64,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            redis: Secret::default(),
            prefix: "florin".into(),
            keep_s: const { NonZeroU64::new(600).expect("not zero") },
            timeout_ms: const { NonZeroU64::new(50).expect("not zero") },
        }
    }
}

impl Cache {
    /// Refuses what cannot work, before anything is opened.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.redis.0.is_some() && cfg!(not(feature = "redis")) {
            return Err(Failure::usage(
                "cache.redis names a server, but this program was built without Redis",
                "build it with `cargo build --release -p florin --features redis`, or leave cache.redis out",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_on_by_itself_and_the_url_is_never_shown() {
        assert!(Cache::default().check().is_ok());
        let cache: Cache = toml::from_str("redis = 'redis://:sesame@host/0'").expect("a valid section");
        assert!(!format!("{cache:?}").contains("sesame"));
        assert_eq!(cache.check().is_ok(), cfg!(feature = "redis"));
    }
}

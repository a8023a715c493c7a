//! A bucket of a service with the interface of S3 as the place where files for customers are kept.
//!
//! An object is stored by one conditional request (`If-None-Match: *`): the service takes it whole and only where there is
//! none, so nobody sees a half one, and of two who store the same name one does. An answer that is lost leaves it open
//! whether it was stored: whoever asks again hears that it was there.

use crate::adapters::env::Machine;
use crate::adapters::object_name::is_object_name;
use crate::config::Objects;
use crate::failure::Failure;
use axum::http::Method;
use bank::ports::{Boxed, Env, ObjectStore};
use bank::statement::kept::media_type;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut};
use object_store::client::{Certificate, ClientOptions};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{
    Attribute, Attributes, BackoffConfig, Error, ObjectStore as Client, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use store::Fault;

/// How often a request that the service did not take is sent again.
const RETRIES_MAX: usize = 3;
/// How often an object is stored whose name somebody else was storing at that moment.
const CONFLICTS_MAX: usize = 3;
/// Longest that connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct ObjectBucket {
    bucket: Arc<AmazonS3>,
    /// The same bucket as customers reach it: for links.
    links: Arc<AmazonS3>,
    prefix: Path,
    env: Arc<Machine>,
    /// How it is called in faults.
    place: Arc<str>,
}

impl ObjectBucket {
    /// The bucket that is configured. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn new(config: &Objects, env: Arc<Machine>) -> Result<ObjectBucket, Failure> {
        let bucket = config.bucket.as_deref().unwrap_or_default();
        let links = config.link_endpoint.as_deref().or(config.endpoint.as_deref());
        let prefix = config.prefix.as_deref().unwrap_or_default().trim_matches('/');
        if !prefix.is_empty() && !is_object_name(prefix) {
            return Err(Failure::usage(format!("objects.prefix is `{prefix}`"), "write words of A-Z a-z 0-9 - . _"));
        }
        Ok(ObjectBucket {
            bucket: Arc::new(client(config, config.endpoint.as_deref())?),
            links: Arc::new(client(config, links)?),
            prefix: Path::from(prefix),
            env,
            place: format!("bucket {bucket} of {}", config.endpoint.as_deref().unwrap_or("AWS")).into(),
        })
    }

    fn failed(&self, name: &str, error: &dyn std::error::Error) -> Fault {
        let mut reason = format!("the object {name} in {}: {error}", self.place);
        let mut cause = error.source();
        while let Some(next) = cause {
            reason = format!("{reason}: {next}");
            cause = next.source();
        }
        Fault::Unavailable { reason }
    }

    fn path(&self, name: &str) -> Result<Path, Fault> {
        let refused = || Fault::Unavailable { reason: format!("an object cannot be called {name:?}") };
        if !is_object_name(name) {
            return Err(refused());
        }
        let name = Path::from(name);
        Ok(self.prefix.parts().chain(name.parts()).collect())
    }

    async fn store(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Fault> {
        let (path, payload) = (self.path(name)?, PutPayload::from(bytes));
        for _ in 0..CONFLICTS_MAX {
            let mut attributes = Attributes::new();
            attributes.insert(Attribute::ContentType, media_type(name).into());
            let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
            match self.bucket.put_opts(&path, payload.clone(), options).await {
                Ok(_) => return Ok(true),
                Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(self.failed(name, &error)),
            }
            // The service says the same while somebody else stores it, who may not succeed.
            match self.bucket.head(&path).await {
                Ok(_) => return Ok(false),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed(name, &error)),
            }
        }
        Err(Fault::Unavailable { reason: format!("the object {name} in {}: others are storing it", self.place) })
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let found = match self.bucket.get(&self.path(name)?).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            found => found.map_err(|error| self.failed(name, &error))?,
        };
        found.bytes().await.map(|bytes| Some(bytes.into())).map_err(|error| self.failed(name, &error))
    }

    async fn names(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let path = self.path(folder)?;
        let found = self.bucket.list(Some(&path)).map_ok(|object| object.location).try_collect::<Vec<Path>>().await;
        let found = found.map_err(|error| self.failed(folder, &error))?;
        let below = |location: &Path| {
            let parts = location.prefix_match(&self.prefix)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        let mut names: Vec<String> = found.iter().filter_map(below).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A link under which a cache may keep the object for as long as the link is good.
    async fn signed(&self, name: &str, seconds: u64) -> Result<String, Fault> {
        let life = Duration::from_secs(seconds);
        let saved = format!("inline; filename=\"{}\"", name.replace('/', "-"));
        let end = Duration::from_micros(self.env.now().microseconds()).saturating_add(life);
        let answered = [
            ("response-cache-control", "public, immutable".to_owned()),
            ("response-expires", httpdate::fmt_http_date(UNIX_EPOCH + end)),
            ("response-content-disposition", saved),
        ];
        let options = SignedUrlOptions::default().with_query(answered);
        let url = self.links.signed_url_opts(Method::GET, &self.path(name)?, life, &options).await;
        url.map(Into::into).map_err(|error| self.failed(name, &error))
    }
}

/// TLS is that of ring, which nobody else of this process has chosen for all.
fn choose_tls() {
    // Chosen before is chosen.
    _ = rustls::crypto::ring::default_provider().install_default();
}

fn client(config: &Objects, endpoint: Option<&str>) -> Result<AmazonS3, Failure> {
    let wrong = |error: Error| Failure::usage(format!("the section [objects] is wrong: {error}"), "correct it");
    choose_tls();
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let life = Duration::from_millis(config.timeout_ms.get());
    let mut options =
        ClientOptions::new().with_timeout(life).with_connect_timeout(CONNECT_MAX.min(life)).with_allow_http(is_plain);
    if let Some(certificates) = config.certificates()? {
        for certificate in Certificate::from_pem_bundle(certificates.as_bytes()).map_err(wrong)? {
            options = options.with_root_certificate(certificate);
        }
    }
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(2),
        ..BackoffConfig::default()
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(config.bucket.as_deref().unwrap_or_default())
        .with_region(&config.region)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_virtual_hosted_style_request(!config.path_style.unwrap_or(endpoint.is_some()))
        .with_retry(RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: life })
        .with_client_options(options);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let (Some(key), Some(secret)) = (&config.access_key, config.secret()?) {
        builder = builder.with_access_key_id(key).with_secret_access_key(secret);
    }
    builder.build().map_err(wrong)
}

impl ObjectStore for ObjectBucket {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Vec<u8>) -> Boxed<'a, Result<bool, Fault>> {
        Box::pin(self.store(name, bytes))
    }

    fn get<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<Vec<u8>>, Fault>> {
        Box::pin(self.read(name))
    }

    fn list<'a>(&'a self, folder: &'a str) -> Boxed<'a, Result<Vec<String>, Fault>> {
        Box::pin(self.names(folder))
    }

    fn link<'a>(&'a self, name: &'a str, seconds: u64) -> Boxed<'a, Result<Option<String>, Fault>> {
        Box::pin(async move { self.signed(name, seconds).await.map(Some) })
    }
}

#[cfg(test)]
mod tests;

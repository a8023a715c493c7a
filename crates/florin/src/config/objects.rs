//! The section `objects` of the configuration: the service with the interface of S3 in which files for customers are kept.

use crate::failure::Failure;
use serde::Deserialize;
use std::fmt;
use std::num::NonZeroU64;
#[cfg(any(test, feature = "s3"))]
use std::path::Path;
use std::path::PathBuf;

/// Longest that a link of S3 can be good, in seconds: a week.
const LINK_S_MAX: u64 = 604_800;

/// Section `objects`. Files are kept in a folder unless a bucket is named.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Objects {
    /// The bucket, which must be there.
    pub(crate) bucket: Option<String>,
    /// What names in the bucket begin with, such as `florin`; nothing without it.
    pub(crate) prefix: Option<String>,
    /// The URL of the service; AWS in `region` without it.
    pub(crate) endpoint: Option<String>,
    /// The URL by which customers reach the service, where it is another than the nodes use.
    pub(crate) link_endpoint: Option<String>,
    /// The region.
    pub(crate) region: String,
    /// Whether the bucket stands in the path of a URL rather than in its host name; as a service with an `endpoint` of its
    /// own has it, and AWS does not.
    pub(crate) path_style: Option<bool>,
    /// The id of the access key; without one the machine's own role is asked for.
    pub(crate) access_key: Option<String>,
    /// The secret of the access key.
    pub(crate) secret_key: Secret,
    /// A file with that secret.
    pub(crate) secret_key_file: Option<PathBuf>,
    /// Certificates in PEM that the service's one is checked with, instead of the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// For how long one request may take, in milliseconds.
    pub(crate) timeout_ms: NonZeroU64,
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Secret(pub(crate) Option<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a secret" } else { "none" })
    }
}

impl Default for Objects {
    fn default() -> Objects {
        Objects {
            bucket: None,
            prefix: None,
            endpoint: None,
            link_endpoint: None,
            region: "us-east-1".into(),
            path_style: None,
            access_key: None,
            secret_key: Secret::default(),
            secret_key_file: None,
            ca_file: None,
            timeout_ms: const { NonZeroU64::new(10_000).expect("not zero") },
        }
    }
}

impl Objects {
    /// Refuses what cannot work, before anything is opened.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn check(&self, link_s: u64) -> Result<(), Failure> {
        if self.bucket.is_none() {
            let nothing = Objects::default();
            let is_alone = *self == nothing;
            let next = "name objects.bucket, or leave the section out: files are kept in a folder then";
            return is_alone.then_some(()).ok_or_else(|| Failure::usage("the section [objects] has no bucket", next));
        }
        if cfg!(not(feature = "s3")) {
            return Err(Failure::usage(
                "objects.bucket is named, but this program was built without S3",
                "build it with `cargo build --release -p florin --features s3`, or leave the section [objects] out",
            ));
        }
        if LINK_S_MAX < link_s {
            let what = format!("statements.link_s is {link_s}, but S3 signs for {LINK_S_MAX} seconds at most");
            return Err(Failure::usage(what, "make it smaller"));
        }
        if self.access_key.is_some() != (self.secret_key.0.is_some() || self.secret_key_file.is_some()) {
            let next = "give objects.access_key and one of objects.secret_key and objects.secret_key_file, or none";
            return Err(Failure::usage("half of an access key is configured in the section [objects]", next));
        }
        Ok(())
    }

    /// The secret of the access key, from wherever it is.
    ///
    /// # Errors
    /// Wrong usage where its file cannot be read.
    #[cfg(any(test, feature = "s3"))]
    pub(crate) fn secret(&self) -> Result<Option<String>, Failure> {
        match (&self.secret_key.0, &self.secret_key_file) {
            (Some(secret), _) => Ok(Some(secret.clone())),
            (None, Some(file)) => read(file, "objects.secret_key_file").map(|text| Some(text.trim().to_owned())),
            (None, None) => Ok(None),
        }
    }

    /// The certificates that the service's one is checked with, in PEM; `None` for the system's.
    ///
    /// # Errors
    /// Wrong usage where the file cannot be read.
    #[cfg(feature = "s3")]
    pub(crate) fn certificates(&self) -> Result<Option<String>, Failure> {
        self.ca_file.as_deref().map(|file| read(file, "objects.ca_file")).transpose()
    }
}

#[cfg(any(test, feature = "s3"))]
fn read(file: &Path, key: &str) -> Result<String, Failure> {
    let failed = |error| Failure::usage(format!("cannot read {}: {error}", file.display()), format!("see {key}"));
    std::fs::read_to_string(file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Objects {
        toml::from_str(text).expect("a valid section")
    }

    #[test]
    fn files_are_in_a_folder_unless_a_bucket_is_named() {
        assert!(read("").check(900).is_ok());
        let failure = read("region = 'eu-central-1'").check(900).expect_err("a refusal");
        assert!(failure.to_string().contains("no bucket"), "{failure}");
        let named = read("bucket = 'bank'").check(900);
        assert_eq!(named.is_ok(), cfg!(feature = "s3"));
    }

    #[cfg(feature = "s3")]
    #[test]
    fn half_of_a_key_and_links_for_too_long_are_refused() {
        assert!(read("bucket = 'b'\naccess_key = 'k'").check(900).is_err());
        assert!(read("bucket = 'b'\nsecret_key = 's'").check(900).is_err());
        assert!(read("bucket = 'b'\naccess_key = 'k'\nsecret_key = 's'").check(900).is_ok());
        assert!(read("bucket = 'b'").check(604_801).is_err());
    }

    #[test]
    fn the_secret_comes_from_its_file_and_is_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        std::fs::write(&file, "sesame\n").expect("written");
        let objects = Objects { secret_key_file: Some(file), ..Objects::default() };
        assert_eq!(objects.secret().expect("read").as_deref(), Some("sesame"));
        let objects = read("secret_key = 'sesame'");
        assert!(!format!("{objects:?}").contains("sesame"));
        let objects = Objects { secret_key_file: Some("nowhere".into()), ..Objects::default() };
        assert!(objects.secret().expect_err("a refusal").to_string().contains("objects.secret_key_file"));
    }
}

//! What the bank needs of the world, filled in: the clock, randomness, files for keys and secrets.

pub(crate) mod env;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod message_texts;
pub(crate) mod messengers;
#[cfg(feature = "s3")]
pub(crate) mod object_bucket;
pub(crate) mod object_folder;
pub(crate) mod object_name;
pub(crate) mod printer;
pub(crate) mod records;
pub(crate) mod secret_file;
#[cfg(feature = "redis")]
pub(crate) mod shared_cache;

//! What the bank needs of the world, filled in: the clock, randomness, files for keys and secrets.

pub(crate) mod env;
pub(crate) mod keyring;
pub(crate) mod secret_file;

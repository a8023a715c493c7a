//! Providers that take messages: each speaks its own protocol and says in the bank's words what became of a message.

pub(crate) mod fcm;
mod http;
pub(crate) mod names;
pub(crate) mod outbox;
mod public_address;
pub(crate) mod smtp;
pub(crate) mod twilio;
pub(crate) mod web_push;
pub(crate) mod webhook;

use crate::failure::Failure;
use std::path::Path;

/// A text, or as much of its beginning as fits.
fn shortened(text: &str, fits: impl Fn(&str) -> bool) -> String {
    let mut text = text.to_owned();
    while !text.is_empty() && !fits(&text) {
        let shorter = text.chars().count() * 3 / 4;
        text = text.chars().take(shorter).collect();
    }
    text
}

/// A secret in a file.
///
/// # Errors
/// Wrong usage that names the key of the configuration and the file.
pub(crate) fn read_secret(key: &str, path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let what = format!("cannot read {} for {key}: {error}", path.display());
        Failure::usage(what, "name a file that this user may read")
    })?;
    Ok(text.trim().to_owned())
}

//! The texts of messages: those of the program, and files of a folder in their place.

use crate::config::Config;
use crate::failure::Failure;
use bank::notification::text::{LANGUAGES, Texts};
use std::io::ErrorKind;

/// Reads the files that there are.
///
/// # Errors
/// Wrong usage that names the file and what is wrong with it.
pub(crate) fn read(config: &Config) -> Result<Texts, Failure> {
    let mut replacements = Vec::new();
    if let Some(folder) = &config.notifications.templates {
        let refused = |what: String| {
            Failure::usage(what, "check the folder in notifications.templates; see docs/notifications.md")
        };
        if !folder.is_dir() {
            return Err(refused(format!("the folder of texts {} is not there", folder.display())));
        }
        for (language, _, _) in LANGUAGES {
            let path = folder.join(format!("{language}.txt"));
            match std::fs::read_to_string(&path) {
                Ok(text) => replacements.push((language.to_owned(), text)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(refused(format!("cannot read {}: {error}", path.display()))),
            }
        }
    }
    Texts::new(&config.statements.bank, &replacements).map_err(|error| {
        Failure::usage(
            format!("the texts of messages are wrong: {error}"),
            "correct the file in notifications.templates",
        )
    })
}

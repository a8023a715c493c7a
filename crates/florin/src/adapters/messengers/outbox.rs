//! Where messages go that no provider is configured for: files in the data folder, for developers to look at. Nobody is sent
//! anything, and each file says so.

use bank::notification::delivery::booked_at;
use bank::notification::outgoing::{Accepted, Address, Outgoing, SendFailure};
use bank::ports::{Boxed, Messenger, PutAside};
use ledger::time::Timestamp;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Fault;

/// Most files that are kept.
const FILES_MAX: usize = 10_000;

/// Where the files of all channels are.
#[derive(Clone, Debug)]
pub(crate) struct OutboxFolder(Arc<Path>);

impl OutboxFolder {
    /// The one of a data folder.
    pub(crate) fn of(data_folder: &Path) -> OutboxFolder {
        OutboxFolder(data_folder.join("outbox").into())
    }

    /// Removes what was booked before this time, and all but the newest.
    ///
    /// # Errors
    /// A fault of the machine.
    pub(crate) async fn tidy(&self, before: Timestamp) -> Result<(), Fault> {
        let folder = self.0.clone();
        blocking(&self.0, move || tidy(&folder, before, FILES_MAX)).await
    }
}

impl PutAside for OutboxFolder {
    fn remove(&self, ids: Vec<String>) -> Boxed<'_, Result<(), Fault>> {
        let folder = self.0.clone();
        Box::pin(blocking(&self.0, move || {
            let names = ids.iter().flat_map(|id| [format!("{id}.eml"), format!("{id}.json")]);
            names.flat_map(|name| [format!(".{name}"), name]).try_for_each(|name| remove(&folder.join(name)))
        }))
    }
}

async fn blocking(folder: &Path, work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), Fault> {
    let unavailable =
        |error: &dyn Display| Fault::Unavailable { reason: format!("the outbox {}: {error}", folder.display()) };
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| unavailable(&error))?;
    done.map_err(|error| unavailable(&error))
}

/// Names begin with the time of the message, inverted: the newest come first.
fn tidy(folder: &Path, before: Timestamp, most: usize) -> std::io::Result<()> {
    let mut kept: BTreeSet<(String, PathBuf)> = BTreeSet::new();
    let files = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for file in files {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let id = name.trim_start_matches('.').split('.').next().unwrap_or_default().to_owned();
        match booked_at(&id) {
            Some(booked_at) if booked_at < before => remove(&path)?,
            Some(_) => _ = kept.insert((id, path)),
            None => {} // not ours
        }
        if most < kept.len()
            && let Some((_, oldest)) = kept.pop_last()
        {
            remove(&oldest)?;
        }
    }
    Ok(())
}

/// Of one that is not there it is no fault.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    folder: OutboxFolder,
    from: String,
    /// The word for the channel.
    channel: &'static str,
}

impl Outbox {
    /// Files of one channel in this folder, which need not be there yet. Mails are from this address.
    pub(crate) fn new(folder: &OutboxFolder, from: &str, channel: &'static str) -> Outbox {
        Outbox { folder: folder.clone(), from: from.to_owned(), channel }
    }

    fn file(&self, outgoing: &Outgoing) -> Result<(String, Vec<u8>), SendFailure> {
        if let Address::Email(to) = &outgoing.to {
            let mail = super::smtp::mail(outgoing, to, &self.from)?;
            let marked = [b"X-Florin-Status: not sent\r\n".as_slice(), &mail.formatted()].concat();
            return Ok((format!("{}.eml", outgoing.id), marked));
        }
        let to = match &outgoing.to {
            Address::Email(to) | Address::Phone(to) | Address::Fcm(to) => to,
            Address::WebPush(subscription) => &subscription.endpoint,
            Address::Webhook { url, .. } => url,
        };
        let shown = json!({
            "status": "not sent",
            "id": outgoing.id,
            "channel": self.channel,
            "kind": outgoing.kind.name(),
            "to": to,
            "language": outgoing.language,
            "subject": outgoing.subject,
            "text": outgoing.text,
        });
        Ok((format!("{}.json", outgoing.id), format!("{shown:#}\n").into_bytes()))
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    if !folder.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // Renamed to its name, so that whoever looks never sees half of it.
    let aside = folder.join(format!(".{name}"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    std::fs::rename(&aside, folder.join(name))
}

impl Messenger for Outbox {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Boxed<'a, Result<Accepted, SendFailure>> {
        Box::pin(async move {
            let (name, bytes) = self.file(outgoing)?;
            let folder = self.folder.0.clone();
            let written = tokio::task::spawn_blocking(move || write(&folder, &name, &bytes)).await;
            match written {
                Ok(Ok(())) => Ok(Accepted { provider_id: None, is_put_aside: true }),
                Ok(Err(error)) => {
                    tracing::warn!("the outbox {} cannot be written: {error}", self.folder.0.display());
                    Err(SendFailure::of_provider("outbox"))
                }
                Err(_) => Err(SendFailure::of_provider("outbox")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id of a message of this second of some day.
    fn id(second: u64) -> String {
        let us = 1_800_000_000_000_000 + second * 1_000_000;
        format!("{:013x}{second:019x}", (1u64 << 52) - 1 - us)
    }

    fn at(second: u64) -> Timestamp {
        booked_at(&id(second)).expect("an id")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort_by(|one, other| other.cmp(one));
        names
    }

    fn filled(seconds: std::ops::Range<u64>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for second in seconds {
            write(folder.path(), &format!("{}.eml", id(second)), b"").expect("written");
        }
        folder
    }

    #[test]
    fn the_outbox_keeps_the_newest_and_nothing_for_ever() {
        let folder = filled(0..10);
        std::fs::write(folder.path().join("notes.txt"), "").expect("written");
        let name = |second| format!("{}.eml", id(second));
        tidy(folder.path(), at(4), 100).expect("tidied");
        let expected: Vec<String> = ["notes.txt".to_owned()].into_iter().chain((4..10).map(name)).collect();
        assert_eq!(names(folder.path()), expected);
        tidy(folder.path(), at(0), 3).expect("tidied");
        let expected: Vec<String> = ["notes.txt".to_owned()].into_iter().chain((7..10).map(name)).collect();
        assert_eq!(names(folder.path()), expected);
        tidy(&folder.path().join("missing"), at(0), 3).expect("nothing to do");
    }

    #[tokio::test]
    async fn messages_of_whoever_is_erased_are_removed() {
        let folder = filled(0..0);
        let outbox = OutboxFolder::of(folder.path());
        for name in [format!("{}.eml", id(1)), format!("{}.json", id(2)), format!("{}.eml", id(3))] {
            write(&outbox.0, &name, b"").expect("written");
        }
        outbox.remove(vec![id(1), id(2), id(9)]).await.expect("removed");
        assert_eq!(names(&outbox.0), [format!("{}.eml", id(3))]);
    }
}

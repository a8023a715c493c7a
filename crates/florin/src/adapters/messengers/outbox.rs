//! Where messages go that no provider is configured for: files in the data folder, for developers to look at. Nobody is sent
//! anything, and each file says so.

use bank::notification::outgoing::{Accepted, Address, Outgoing, SendFailure};
use bank::ports::{Boxed, Messenger};
use serde_json::json;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    folder: Arc<Path>,
    from: String,
    /// The word for the channel.
    channel: &'static str,
}

impl Outbox {
    /// Files of one channel in this folder, which need not be there yet. Mails are from this address.
    pub(crate) fn new(folder: PathBuf, from: &str, channel: &'static str) -> Outbox {
        Outbox { folder: folder.into(), from: from.to_owned(), channel }
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
            let folder = self.folder.clone();
            let written = tokio::task::spawn_blocking(move || write(&folder, &name, &bytes)).await;
            match written {
                Ok(Ok(())) => Ok(Accepted { provider_id: None, is_put_aside: true }),
                Ok(Err(error)) => {
                    tracing::warn!("the outbox {} cannot be written: {error}", self.folder.display());
                    Err(SendFailure::of_provider("outbox"))
                }
                Err(_) => Err(SendFailure::of_provider("outbox")),
            }
        })
    }
}

//! The providers that are configured, by channel.

use crate::adapters::messengers::fcm::Fcm;
use crate::adapters::messengers::outbox::{Outbox, OutboxFolder};
use crate::adapters::messengers::smtp::Smtp;
use crate::adapters::messengers::twilio::Twilio;
use crate::adapters::messengers::web_push::WebPush;
use crate::adapters::messengers::webhook::Webhook;
use crate::config::Config;
use crate::failure::Failure;
use bank::notification::kind::Channel;
use bank::ports::Messenger;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whom mails in the outbox are from, where nobody is configured.
const NOBODY: &str = "Florin <florin@localhost>";
/// Files written to the outbox at a time.
const OUTBOX_CONCURRENCY: usize = 4;

/// A provider and how much it may be asked.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) messenger: Arc<dyn Messenger>,
    /// Most messages a second to each of its gates.
    pub(super) rate: Option<NonZeroU32>,
    /// Most at a time, for each shard.
    pub(super) concurrency: usize,
}

pub(super) struct Providers {
    by_channel: BTreeMap<Channel, Provider>,
    /// The public key of Web Push.
    pub(super) web_push_key: Option<String>,
}

/// The channels of customers that are followed: those with a provider, and all where the outbox takes the others.
pub(crate) fn channels(config: &Config) -> Vec<Channel> {
    let of_customers = Channel::ALL.iter().filter(|channel| **channel != Channel::Webhook);
    of_customers.filter(|channel| has_outbox(config) || is_configured(config, **channel)).copied().collect()
}

fn is_configured(config: &Config, channel: Channel) -> bool {
    match channel {
        Channel::Email => config.smtp.host.is_some(),
        Channel::Sms => config.twilio.sms_from.is_some(),
        Channel::Whatsapp => config.twilio.whatsapp_from.is_some(),
        Channel::Fcm => config.fcm.service_account_file.is_some(),
        Channel::WebPush => config.web_push.subject.is_some(),
        Channel::Webhook => true,
    }
}

fn has_outbox(config: &Config) -> bool {
    let of_customers = |channel: &Channel| *channel != Channel::Webhook;
    let any =
        || Channel::ALL.iter().filter(|channel| of_customers(channel)).any(|channel| is_configured(config, *channel));
    config.notifications.outbox.unwrap_or_else(|| !any())
}

impl Providers {
    pub(super) fn new(config: &Config, folder: &Path) -> Result<Providers, Failure> {
        let timeout = Duration::from_millis(config.notifications.timeout_ms.max(100));
        let mut web_push_key = None;
        let mut by_channel = BTreeMap::new();
        for channel in channels(config).into_iter().chain([Channel::Webhook]) {
            let provider = match channel {
                Channel::Email => email(config, timeout)?,
                Channel::Sms => twilio(config, config.twilio.sms_from.as_deref(), channel, timeout)?,
                Channel::Whatsapp => twilio(config, config.twilio.whatsapp_from.as_deref(), channel, timeout)?,
                Channel::Fcm => fcm(config, timeout)?,
                Channel::WebPush => {
                    let made = web_push(config, folder, timeout)?;
                    web_push_key = made.as_ref().map(|(_, key)| key.clone());
                    made.map(|(provider, _)| provider)
                }
                Channel::Webhook => {
                    let webhook = Webhook::new(&config.webhooks, timeout)?;
                    Some(Provider::new(webhook, config.webhooks.rate, config.webhooks.concurrency))
                }
            };
            let provider = provider.unwrap_or_else(|| {
                let from = config.smtp.from.as_deref().unwrap_or(NOBODY);
                Provider::new(Outbox::new(&OutboxFolder::of(folder), from, channel.name()), None, OUTBOX_CONCURRENCY)
            });
            by_channel.insert(channel, provider);
        }
        Ok(Providers { by_channel, web_push_key })
    }

    pub(super) fn of(&self, channel: Channel) -> Option<Provider> {
        self.by_channel.get(&channel).cloned()
    }
}

impl Provider {
    fn new(messenger: impl Messenger, rate: Option<NonZeroU32>, concurrency: usize) -> Provider {
        Provider { messenger: Arc::new(messenger), rate, concurrency: concurrency.max(1) }
    }
}

fn email(config: &Config, timeout: Duration) -> Result<Option<Provider>, Failure> {
    let own = &config.smtp;
    let Some(host) = &own.host else { return Ok(None) };
    Ok(Some(Provider::new(Smtp::new(own, host, timeout)?, own.rate, own.concurrency)))
}

fn twilio(
    config: &Config,
    from: Option<&str>,
    channel: Channel,
    timeout: Duration,
) -> Result<Option<Provider>, Failure> {
    let own = &config.twilio;
    let Some(from) = from else { return Ok(None) };
    Ok(Some(Provider::new(Twilio::new(own, from, channel, timeout)?, own.rate, own.concurrency)))
}

fn fcm(config: &Config, timeout: Duration) -> Result<Option<Provider>, Failure> {
    let own = &config.fcm;
    let Some(file) = &own.service_account_file else { return Ok(None) };
    Ok(Some(Provider::new(Fcm::new(own, file, timeout)?, own.rate, own.concurrency)))
}

/// With its public key.
fn web_push(config: &Config, folder: &Path, timeout: Duration) -> Result<Option<(Provider, String)>, Failure> {
    let own = &config.web_push;
    if own.subject.is_none() {
        return Ok(None);
    }
    let in_folder = folder.join("web-push.key");
    let web_push = WebPush::new(own, own.key_file.as_deref().unwrap_or(&in_folder), timeout)?;
    let key = web_push.public_key();
    Ok(Some((Provider::new(web_push, own.rate, own.concurrency), key)))
}

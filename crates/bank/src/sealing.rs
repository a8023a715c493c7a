//! Envelopes: AES-256-GCM under a key of the keyring.

/// The key under which payloads of events are sealed, replaced now and then.
#[derive(Default)]
pub(crate) struct PayloadKey {}

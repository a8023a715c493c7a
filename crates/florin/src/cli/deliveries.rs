//! What can be typed after `florin deliveries`.

use super::{Decided, Named, Remote, at_least_one};
use clap::{Subcommand, ValueEnum};
use ledger::ids::CustomerId;
use std::num::NonZeroUsize;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DeliveryStatus {
    /// It is to be sent, or sent again
    Waiting,
    /// The provider took it
    Sent,
    /// It was written to the outbox
    Outbox,
    /// For a person to decide
    Failed,
    /// There was nobody to send it to
    Dropped,
    /// A person decided that it shall not be sent
    Discarded,
}

impl DeliveryStatus {
    /// The word for it on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            DeliveryStatus::Waiting => "waiting",
            DeliveryStatus::Sent => "sent",
            DeliveryStatus::Outbox => "outbox",
            DeliveryStatus::Failed => "failed",
            DeliveryStatus::Dropped => "dropped",
            DeliveryStatus::Discarded => "discarded",
        }
    }
}

/// See [`Command::Deliveries`](super::Command::Deliveries).
#[derive(Debug, Subcommand)]
pub(crate) enum Deliveries {
    /// List them, newest first
    List {
        /// Only those that stand here
        #[arg(long)]
        status: Option<DeliveryStatus>,
        /// Only those of this user
        #[arg(long, value_name = "ID")]
        user: Option<CustomerId>,
        /// Most to list
        #[arg(long, default_value = "50", value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
        limit: NonZeroUsize,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one
    Show(Named),
    /// Send those again that failed, with the ids they had
    Redrive {
        /// Their ids
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<String>,
        /// All that failed
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// Decide that one shall not be sent
    Discard(Decided),
}

//! What can be typed after `florin bench`.

use super::{at_least_one, batch_size, shard_count};
use clap::{Args, Subcommand, ValueEnum};
use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

/// See [`Command::Bench`](super::Command::Bench).
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// The engine alone, in this process, in a new data folder
    Engine(BenchEngine),
    /// The close of a day while the bank serves, in this process, in a new data folder
    CloseDay(BenchCloseDay),
    /// A running server, over HTTP
    Http(BenchHttp),
    /// Messages to customers, in this process, and what they cost money that moves
    Messages(BenchMessages),
}

/// See [`Bench::Engine`].
#[derive(Debug, Args)]
pub(crate) struct BenchEngine {
    /// How many transfers
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) transfers: NonZeroU64,
    /// Between how many accounts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=100_000_000))]
    pub(crate) accounts: u64,
    /// Transfers a submission
    #[arg(long, default_value = "8192", value_name = "N", value_parser = batch_size)]
    pub(crate) batch: usize,
    /// Between which accounts
    #[arg(long, value_name = "SHAPE", value_enum, default_value_t)]
    pub(crate) shape: Shape,
    /// Shards of the new folder [default: 1]; over PostgreSQL the configuration says how many there are
    #[arg(long, value_name = "N", value_parser = shard_count)]
    pub(crate) shards: Option<NonZeroU16>,
    /// Transfers on their way at a time, in at most 1,024 submissions; at least one submission
    #[arg(long, default_value = "24576", value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) in_flight: NonZeroUsize,
    /// Transfers a second to submit, where that is not to be as many as possible
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) rate: Option<NonZeroU64>,
    /// Keep the folder open after the figures, until killed: to see how one opens that was never closed
    #[arg(long)]
    pub(crate) stay: bool,
}

/// Between which accounts the transfers of [`BenchEngine`] go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Any two of one shard
    #[default]
    Spread,
    /// The first one of the shard and any other, in either direction
    Hot,
    /// Two of different shards; a transfer counts when it has succeeded
    Between,
}

impl Shape {
    /// The word for it on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Shape::Spread => "spread",
            Shape::Hot => "hot",
            Shape::Between => "between",
        }
    }
}

/// See [`Bench::Messages`].
#[derive(Debug, Args)]
pub(crate) struct BenchMessages {
    /// How many messages
    #[arg(long, default_value = "100000", value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) messages: NonZeroU64,
    /// To how many customers
    #[arg(long, default_value = "1000", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) customers: u64,
    /// How long money moves in each turn, with and without a provider that hangs
    #[arg(long, default_value = "5", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// How many turns of each
    #[arg(long, default_value = "3", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) turns: u64,
}

/// See [`Bench::CloseDay`].
#[derive(Debug, Args)]
pub(crate) struct BenchCloseDay {
    /// How many accounts, all of which bear interest
    #[arg(long, default_value = "1000000", value_name = "N", value_parser = clap::value_parser!(u64).range(2..=100_000_000))]
    pub(crate) accounts: u64,
    /// How many transfers between them on the day that is closed
    #[arg(long, default_value = "1000000", value_name = "N")]
    pub(crate) transfers: u64,
    /// When interest is posted: daily posts to every account with each close
    #[arg(long, default_value = "monthly", value_name = "WHEN", value_parser = ["daily", "monthly"])]
    pub(crate) posting: String,
    /// Transfers a second beside, each submitted by itself
    #[arg(long, default_value = "2000", value_name = "N", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) rate: NonZeroU64,
}

/// See [`Bench::Http`].
#[derive(Debug, Args)]
pub(crate) struct BenchHttp {
    /// The server
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// A file with an API token, where the server asks for one
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Clients at the same time
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) clients: u16,
    /// Transfers a request; 1 sends single transfers
    #[arg(long, value_name = "N", default_value = "1", value_parser = batch_size)]
    pub(crate) batch: usize,
    /// Send binary rows (application/vnd.florin.transfers) instead of JSON
    #[arg(long)]
    pub(crate) rows: bool,
    /// Clients beside them that ask for a balance and the latest postings of random accounts in turn
    #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) read_clients: u16,
    /// How long
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// How many transfers in all, however long they take
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) transfers: Option<NonZeroU64>,
    /// Between how many accounts
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    pub(crate) accounts: u64,
}

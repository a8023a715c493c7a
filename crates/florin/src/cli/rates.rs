//! What can be typed after `florin rates`.

use super::Remote;
use clap::Subcommand;
use std::path::PathBuf;

/// See [`Command::Rates`](super::Command::Rates).
#[derive(Debug, Subcommand)]
pub(crate) enum ExchangeRates {
    /// Set the rates of a file: the European Central Bank's eurofxref.csv, a table with the columns base, quote, mid (or bid
    /// and ask), spread_bps, as_of, or JSON
    Load {
        /// The file
        file: PathBuf,
        /// Where they come from; the file's name without it
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
}

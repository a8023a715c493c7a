//! `florin bench`: load with published parameters, measured the same way for everybody.
//!
//! A transfer counts when its answer came, which is after it became durable. `indexed` counts the time until the indexes
//! on disk have caught up too: what is left is the tail that the engine always keeps indexed in memory.

mod engine;
mod http;

use crate::cli::Bench;
use crate::failure::Failure;
use crate::output::{Output, grouped};
use crate::program::Program;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs the command.
///
/// # Errors
/// As [`Failure`] says.
pub(crate) fn run(program: &Program, command: &Bench) -> Result<(), Failure> {
    let measured = match command {
        Bench::Engine(command) => engine::run(program, command)?,
        Bench::Http(command) => http::run(program, command)?,
    };
    measured.print(program.output)
}

/// What a run came to. What cannot be measured from where the load is made is not told.
#[derive(Debug)]
struct Measured {
    parameters: Value,
    transfers: u64,
    durable: Duration,
    indexed: Option<Duration>,
    /// One per submission or request.
    latencies: Vec<Duration>,
    folder_bytes: Option<u64>,
    resident_bytes: Option<u64>,
}

impl Measured {
    fn print(mut self, output: Output) -> Result<(), Failure> {
        self.latencies.sort_unstable();
        let durable = per_second(self.transfers, self.durable);
        let indexed = self.indexed.map(|indexed| per_second(self.transfers, indexed));
        let (half, most) = (self.percentile_us(50), self.percentile_us(99));
        let bytes = self.folder_bytes.and_then(|bytes| bytes.checked_div(self.transfers));
        let resident_mb = self.resident_bytes.map(|bytes| bytes >> 20);
        output.line(format!("{:>14} transfers", grouped(self.transfers)))?;
        output.line(format!("{:>14} transfers/s durable", grouped(durable)))?;
        if let Some(indexed) = indexed {
            output.line(format!("{:>14} transfers/s durable and indexed", grouped(indexed)))?;
        }
        output.line(format!("{:>14} ms p50", milliseconds(half)))?;
        output.line(format!("{:>14} ms p99", milliseconds(most)))?;
        if let Some(bytes) = bytes {
            output.line(format!("{:>14} bytes a transfer on disk", grouped(bytes)))?;
        }
        if let Some(resident_mb) = resident_mb {
            output.line(format!("{:>14} MiB resident", grouped(resident_mb)))?;
        }
        output.object(&json!({
            "parameters": self.parameters,
            "transfers": self.transfers,
            "transfers_per_s_durable": durable,
            "transfers_per_s_indexed": indexed,
            "p50_ms": as_number(half),
            "p99_ms": as_number(most),
            "bytes_per_transfer": bytes,
            "rss_mb": resident_mb,
        }))
    }

    fn percentile_us(&self, percent: usize) -> u128 {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).map_or(0, Duration::as_micros)
    }
}

fn per_second(count: u64, time: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn milliseconds(microseconds: u128) -> String {
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}

/// Milliseconds as a JSON number.
fn as_number(microseconds: u128) -> Value {
    serde_json::from_str(&milliseconds(microseconds)).unwrap_or(Value::Null)
}

#[expect(clippy::disallowed_methods, reason = "measuring needs the clock")]
fn now() -> Instant {
    Instant::now()
}

/// What this process has in memory, as the kernel counts it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What a folder takes on disk, with what is in it.
fn folder_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok()?;
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Some(bytes)
}

/// Numbers that look random and are the same in every run: number `index` of the sequence (SplitMix64).
fn mixed(index: u64) -> u64 {
    let mut number = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Two different accounts of 1 to `accounts`, and an amount of minor units.
fn random_transfer(index: u64, accounts: u64) -> (u64, u64, u64) {
    let (first, second) = (mixed(2 * index), mixed(2 * index + 1));
    let from = first % accounts;
    let to = (from + 1 + second % (accounts - 1)) % accounts;
    (from + 1, to + 1, 1 + (first >> 32) % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_go_between_two_accounts_that_exist() {
        for (index, accounts) in (0..10_000).zip([2, 3, 7, 1000].into_iter().cycle()) {
            let (from, to, amount) = random_transfer(index, accounts);
            assert!(from != to && (1..=accounts).contains(&from) && (1..=accounts).contains(&to) && 0 < amount);
        }
    }

    #[test]
    fn percentiles_are_observations() {
        let measured = |latencies: Vec<u64>| Measured {
            parameters: Value::Null,
            transfers: 0,
            durable: Duration::ZERO,
            indexed: None,
            latencies: latencies.into_iter().map(Duration::from_micros).collect(),
            folder_bytes: None,
            resident_bytes: None,
        };
        let hundred = measured((1..=100).collect());
        assert_eq!((hundred.percentile_us(50), hundred.percentile_us(99)), (50, 99));
        assert_eq!(measured(vec![7]).percentile_us(99), 7);
        assert_eq!(measured(Vec::new()).percentile_us(50), 0);
    }
}

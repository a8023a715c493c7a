//! `florin bench`: load with published parameters, measured the same way for everybody.
//!
//! A transfer counts when its answer came, which is after it became durable. `indexed` counts the time until the indexes
//! on disk have caught up too: what is left is the tail that the engine always keeps indexed in memory. A transfer between
//! shards counts when it has succeeded.

mod close_day;
mod engine;
mod http;
mod messages;

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
    match command {
        Bench::Engine(command) => engine::run(program, command),
        Bench::CloseDay(command) => close_day::run(program, command),
        Bench::Http(command) => http::run(program, command)?.print(program.output),
        Bench::Messages(command) => messages::run(program, command),
    }
}

/// What a run came to. What cannot be measured from where the load is made is not told.
#[derive(Debug)]
struct Measured {
    parameters: Value,
    transfers: u64,
    durable: Duration,
    indexed: Option<Duration>,
    /// One per submission or request.
    latencies: Latencies,
    /// From the answer to a transfer between shards until it had succeeded; one per submission.
    succeeded: Option<Latencies>,
    /// One per call of the clients that read beside, which ask no longer than `durable`.
    reads: Option<Latencies>,
    /// Durable transfers a second in each tenth of the run; empty for a run too short to tell.
    tenths: Vec<u64>,
    folder_bytes: Option<u64>,
    resident_bytes: Option<u64>,
}

impl Measured {
    fn print(&self, output: Output) -> Result<(), Failure> {
        let durable = per_second(self.transfers, self.durable);
        let indexed = self.indexed.map(|indexed| per_second(self.transfers, indexed));
        let (half, most) = (self.latencies.percentile_us(50), self.latencies.percentile_us(99));
        let reads = self.reads.as_ref().map(|reads| Reads::of(reads, self.durable));
        let bytes = self.folder_bytes.and_then(|bytes| bytes.checked_div(self.transfers));
        let resident_mb = self.resident_bytes.map(|bytes| bytes >> 20);
        let count = |count: Option<u64>, what: &str| {
            count.map_or(Ok(()), |count| output.line(format!("{:>14} {what}", grouped(count))))
        };
        count(Some(self.transfers), "transfers")?;
        count(Some(durable), "transfers/s durable")?;
        count(indexed, "transfers/s durable and indexed")?;
        count(self.tenths.first().copied(), "transfers/s durable in the first tenth")?;
        count(self.tenths.last().copied(), "transfers/s durable in the last tenth")?;
        output.line(format!("{:>14} ms p50", milliseconds(half)))?;
        output.line(format!("{:>14} ms p99", milliseconds(most)))?;
        let succeeded = |percent| self.succeeded.as_ref().map(|latencies| latencies.percentile_us(percent));
        for percent in [50, 99] {
            if let Some(time) = succeeded(percent) {
                output.line(format!("{:>14} ms p{percent} from the answer to success", milliseconds(time)))?;
            }
        }
        if let Some(reads) = &reads {
            count(Some(reads.per_second), "reads/s beside")?;
            output.line(format!("{:>14} ms p50 of the reads", milliseconds(reads.half_us)))?;
            output.line(format!("{:>14} ms p99 of the reads", milliseconds(reads.most_us)))?;
        }
        count(bytes, "bytes a transfer on disk")?;
        count(resident_mb, "MiB resident")?;
        output.object(&json!({
            "parameters": self.parameters,
            "transfers": self.transfers,
            "transfers_per_s_durable": durable,
            "transfers_per_s_indexed": indexed,
            "transfers_per_s_tenths": self.tenths,
            "p50_ms": as_number(half),
            "p99_ms": as_number(most),
            "succeeded_p50_ms": succeeded(50).map(as_number),
            "succeeded_p99_ms": succeeded(99).map(as_number),
            "reads": reads.as_ref().map(|reads| reads.count),
            "reads_per_s": reads.as_ref().map(|reads| reads.per_second),
            "reads_p50_ms": reads.as_ref().map(|reads| as_number(reads.half_us)),
            "reads_p99_ms": reads.as_ref().map(|reads| as_number(reads.most_us)),
            "bytes_per_transfer": bytes,
            "rss_mb": resident_mb,
        }))
    }
}

/// What the reads came to.
struct Reads {
    count: u64,
    per_second: u64,
    half_us: u128,
    most_us: u128,
}

impl Reads {
    fn of(latencies: &Latencies, time: Duration) -> Reads {
        let count = latencies.sorted.len() as u64;
        let (half_us, most_us) = (latencies.percentile_us(50), latencies.percentile_us(99));
        Reads { count, per_second: per_second(count, time), half_us, most_us }
    }
}

/// How long each of many calls took.
#[derive(Debug)]
struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    fn new(mut observed: Vec<Duration>) -> Latencies {
        observed.sort_unstable();
        Latencies { sorted: observed }
    }

    /// An observation that so many percent of all do not exceed; zero without any.
    fn percentile_us(&self, percent: usize) -> u128 {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).map_or(0, Duration::as_micros)
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
    let (first, second) = (mixed(index.wrapping_mul(2)), mixed(index.wrapping_mul(2).wrapping_add(1)));
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
        let latencies = |observed: Vec<u64>| Latencies::new(observed.into_iter().map(Duration::from_micros).collect());
        let hundred = latencies((1..=100).rev().collect());
        assert_eq!((hundred.percentile_us(50), hundred.percentile_us(99)), (50, 99));
        assert_eq!(latencies(vec![7]).percentile_us(99), 7);
        assert_eq!(latencies(Vec::new()).percentile_us(50), 0);
    }
}

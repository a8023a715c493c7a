//! The command line: what can be typed, and nothing of what it does.

mod bench;
mod deliveries;
mod interest;
mod rates;

pub(crate) use bench::{Bench, BenchCloseDay, BenchEngine, BenchHttp, BenchMessages, Shape};
pub(crate) use deliveries::{Deliveries, DeliveryStatus};
pub(crate) use interest::{CloseDay, Interest, Products, Rates, Ways};
pub(crate) use rates::ExchangeRates;

use bank::month::Month;
use bank::standing_order::rhythm::Rhythm;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ledger::ids::AccountId;
use ledger::time::Day;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

/// A bank's transaction system: customers, accounts, transfers and holds, applied exactly once.
///
/// Results go to stdout, logs and progress to stderr. Exit codes: 0 success; 1 the answer is "no" (a check failed,
/// something was dead-lettered); 2 wrong usage; 3 a fault.
#[derive(Debug, Parser)]
#[command(name = "florin", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes, before or after its name.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The data folder [default: florin-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A configuration file (TOML); nearly every key also as FLORIN_SECTION__KEY in the environment
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object on the last line of stdout instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log errors only, show no progress
    #[arg(long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log more
    #[arg(long, global = true)]
    pub(crate) verbose: bool,
}

/// Everything that can be asked of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take a real bank's year through the whole system, and check the result
    Demo,
    /// Run the bank: HTTP API, documentation, metrics
    Serve(Serve),
    /// Read CloudEvents from files (NDJSON or a JSON array; .gz and .zst welcome)
    Ingest(Ingest),
    /// Check everything that is stored against everything else
    Verify,
    /// Look after the events that did not take effect
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Look after the messages to customers and other systems that were not sent
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// List and add shards, and move slots between them
    #[command(subcommand)]
    Shards(Shards),
    /// Set exchange rates from a file
    #[command(subcommand)]
    Rates(ExchangeRates),
    /// Make and list the monthly statements of accounts
    #[command(subcommand)]
    Statements(Statements),
    /// Set up what interest accounts bear
    #[command(subcommand)]
    Products(Products),
    /// Explain the interest of an account, or try a product on its past
    #[command(subcommand)]
    Interest(Interest),
    /// List, set up and end standing orders and scheduled transfers
    #[command(subcommand)]
    StandingOrders(StandingOrders),
    /// List the bank's jobs and their runs, and run one by hand
    #[command(subcommand)]
    Jobs(Jobs),
    /// Close the days that are over: accrue interest, post it where a period ends
    CloseDay(CloseDay),
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(Token),
    /// Measure durable transfers per second
    #[command(subcommand)]
    Bench(Bench),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// See [`Command::Serve`].
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:7878]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Shards of a new data folder, or what the folder must have [default: what it has, else 1]
    #[arg(long, value_name = "N", value_parser = shard_count)]
    pub(crate) shards: Option<NonZeroU16>,
    /// Ask nobody for a token; only on a loopback address
    #[arg(long)]
    pub(crate) no_auth: bool,
}

/// The way through a running server.
#[derive(Clone, Debug, Args)]
pub(crate) struct Remote {
    /// Work through the server at this address instead of the data folder
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// A file with the API token for the server
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// One of what a person looks after.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// One that a person decides about, and why.
#[derive(Debug, Args)]
pub(crate) struct Decided {
    /// Its id
    pub(crate) id: String,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// See [`Command::Ingest`].
#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Files to read in this order; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Status {
    /// For a person to decide
    Waiting,
    /// A later attempt took effect
    Redriven,
    /// A person decided that it never shall
    Discarded,
}

impl Status {
    /// The word for it on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Status::Waiting => "waiting",
            Status::Redriven => "redriven",
            Status::Discarded => "discarded",
        }
    }
}

/// See [`Command::DeadLetters`].
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them, newest first
    List {
        /// Only those that stand here
        #[arg(long)]
        status: Option<Status>,
        /// Most to list
        #[arg(long, default_value = "50", value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
        limit: NonZeroUsize,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show one with what was sent
    Show(Named),
    /// Submit one again, as a new attempt
    Redrive {
        /// Its id
        id: String,
        /// Data (JSON) in place of what was sent
        #[arg(long = "with", value_name = "JSON")]
        replacement: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Decide that one shall never take effect
    Discard(Decided),
}

/// See [`Command::Shards`].
#[derive(Debug, Subcommand)]
pub(crate) enum Shards {
    /// List the shards, what each has, and the slots that are moving
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// Add a shard without slots: to a data folder that nobody has open, or the last database of storage.shards
    Add,
    /// Move slots with their accounts to another shard while the bank serves; again, go on where it stopped
    Move {
        /// The shard they go to
        #[arg(long, value_name = "SHARD", value_parser = clap::value_parser!(u16).range(..1024))]
        to: u16,
        /// Which slots, such as 0-9,17
        #[arg(long, value_name = "SLOTS", value_parser = slot_list, required_unless_present = "count")]
        slots: Option<SlotList>,
        /// How many slots, from the shards that have the most
        #[arg(long, value_name = "N", conflicts_with = "slots", value_parser = at_least_one::<NonZeroU16>)]
        count: Option<NonZeroU16>,
        #[command(flatten)]
        remote: Remote,
    },
}

/// See [`Command::Statements`].
#[derive(Debug, Subcommand)]
pub(crate) enum Statements {
    /// Make the statements of a month for all accounts, in a data folder that nobody has open; again, only what is missing
    Make {
        /// The month, such as 2026-11; it must be over
        #[arg(long, value_name = "MONTH")]
        month: Month,
        /// The last month, where it is several in a row [default: the month itself]
        #[arg(long, value_name = "MONTH")]
        until: Option<Month>,
    },
    /// Make the statement of one account, unless it is there
    MakeOne {
        /// The account
        #[arg(long, value_name = "ID")]
        account: AccountId,
        /// The month, such as 2026-11; it must be over
        #[arg(long, value_name = "MONTH")]
        month: Month,
        /// Make a further one if something was booked late since the last one
        #[arg(long)]
        again: bool,
        #[command(flatten)]
        remote: Remote,
    },
    /// List the statements of an account, with links to their files
    List {
        /// The account
        #[arg(long, value_name = "ID")]
        account: AccountId,
        #[command(flatten)]
        remote: Remote,
    },
}

/// See [`Command::StandingOrders`].
#[derive(Debug, Subcommand)]
pub(crate) enum StandingOrders {
    /// List those of an account
    List {
        /// The account that pays
        #[arg(long, value_name = "ID")]
        account: AccountId,
        #[command(flatten)]
        remote: Remote,
    },
    /// Set one up
    Create {
        /// An id that you choose: letters, digits, - and _
        id: String,
        /// The account that pays
        #[arg(long, value_name = "ID")]
        account: AccountId,
        /// The account that is paid [default: the money leaves the bank]
        #[arg(long, value_name = "ID")]
        to: Option<AccountId>,
        /// How much
        #[arg(long, value_name = "AMOUNT")]
        amount: String,
        /// The currency
        #[arg(long, value_name = "CODE")]
        currency: String,
        /// When: "once 2026-12-24", "weekly from 2026-12-04" or "monthly on 31 from 2026-12-31"
        #[arg(long, value_name = "WHEN")]
        rhythm: Rhythm,
        /// The last day that may be due
        #[arg(long, value_name = "DAY", value_parser = day)]
        until: Option<Day>,
        /// What becomes of a due day without business
        #[arg(long, value_name = "RULE", default_value = "same_day", value_parser = ["same_day", "before", "after"])]
        holidays: String,
        /// How often it is tried again when the money is not there
        #[arg(long, value_name = "N", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=30))]
        retries: u8,
        /// What it is called on both sides
        #[arg(long, value_name = "TEXT")]
        reference: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Show what became of the occurrences of one
    Occurrences {
        /// Its id
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// End one
    Cancel {
        /// Its id
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

/// See [`Command::Jobs`].
#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// List them: when each is due, and what its latest run did
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// List the runs of one, newest first
    Runs {
        /// Its name
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Run one now; it does what is missing and nothing twice
    Run {
        /// Its name
        name: String,
        /// For this date [default: the latest whose time has come]
        #[arg(long, value_name = "DAY", value_parser = day)]
        date: Option<Day>,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Slots as they are typed, each once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotList(pub(crate) Vec<u16>);

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Role {
    /// Everything
    Admin,
    /// All but tokens, webhooks, rates, fees, products, closing days, running jobs, discarding, forced postings, moving slots and
    /// opening the bank's own accounts
    Teller,
    /// Reading
    Auditor,
}

impl From<Role> for ledger::token::Role {
    fn from(role: Role) -> ledger::token::Role {
        match role {
            Role::Admin => ledger::token::Role::Admin,
            Role::Teller => ledger::token::Role::Teller,
            Role::Auditor => ledger::token::Role::Auditor,
        }
    }
}

/// See [`Command::Token`].
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once and stored hashed
    Create {
        /// The principal it speaks for; a replaced token keeps the name
        #[arg(long)]
        name: String,
        /// What its bearer may do
        #[arg(long)]
        role: Role,
        /// How long it is valid, such as 12h or 30d [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = duration_in_seconds)]
        expires: Option<u64>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List all tokens
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// End a token
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        remote: Remote,
    },
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:7878")
}

fn day(text: &str) -> Result<Day, &'static str> {
    text.parse().map_err(|_| "write a day such as 2026-11-21")
}

fn at_least_one<N: FromStr>(text: &str) -> Result<N, &'static str> {
    text.parse().map_err(|_| "write a whole number from 1 on")
}

fn shard_count(text: &str) -> Result<NonZeroU16, String> {
    match text.parse::<NonZeroU16>() {
        Ok(count) if count.get() <= ledger::ids::SLOTS => Ok(count),
        _ => Err(format!("a data folder has 1 to {} shards", ledger::ids::SLOTS)),
    }
}

fn slot_list(text: &str) -> Result<SlotList, String> {
    let number = |text: &str| text.parse().ok().filter(|slot: &u16| *slot < ledger::ids::SLOTS);
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(number(first)?..=number(last)?).filter(|range| !range.is_empty())
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    let mut slots: Vec<u16> = ranges
        .ok_or_else(|| format!("write slots from 0 to {}, such as 0-9,17", ledger::ids::SLOTS - 1))?
        .into_iter()
        .flatten()
        .collect();
    slots.sort_unstable();
    slots.dedup();
    Ok(SlotList(slots))
}

fn batch_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if (1..=store::SUBMISSION_MAX).contains(&size) => Ok(size),
        _ => Err(format!("a batch has 1 to {} transfers", store::SUBMISSION_MAX)),
    }
}

/// `90s`, `15m`, `12h` or `30d` in seconds, at most a thousand years.
fn duration_in_seconds(text: &str) -> Result<u64, String> {
    let unit_seconds = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3600,
        Some(b'd') => 86_400,
        _ => 0,
    };
    let number: Option<u64> = text.get(..text.len().saturating_sub(1)).and_then(|digits| digits.parse().ok());
    match number.and_then(|number| number.checked_mul(unit_seconds)) {
        Some(seconds @ 1..=31_557_600_000) if !text.starts_with('+') => Ok(seconds),
        _ => Err("write a number and s, m, h or d, such as 30d".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_subcommand() {
        for arguments in [["florin", "--data", "x", "--json", "verify"], ["florin", "verify", "--json", "--data", "x"]]
        {
            let cli = Cli::try_parse_from(arguments).expect("valid arguments");
            assert!(cli.global.json && cli.global.data == Some("x".into()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_answered_with_what_can() {
        for (arguments, words) in [
            (["serve", "--listen", "localhost:7878"], "127.0.0.1:7878"),
            (["serve", "--shards", "0"], "1 to 1024 shards"),
            (["serve", "--shards", "1025"], "1 to 1024 shards"),
        ] {
            let arguments = ["florin"].into_iter().chain(arguments);
            let error = Cli::try_parse_from(arguments).expect_err("wrong usage").to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn slots_are_numbers_and_ranges() {
        assert_eq!(slot_list("17,0-2,1"), Ok(SlotList(vec![0, 1, 2, 17])));
        for text in ["", "1024", "2-1", "-1", "1-", "a", "1,,2", "0-1024"] {
            assert!(slot_list(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(["90s", "15m", "12h", "30d"].map(duration_in_seconds), [Ok(90), Ok(900), Ok(43_200), Ok(2_592_000)]);
        for text in ["", "d", "30", "0d", "-1d", "+1d", "1.5h", "30 d", "99999999999999999999d", "é"] {
            assert!(duration_in_seconds(text).is_err(), "{text}");
        }
    }
}

//! What is counted of messages, for `/metrics`.

use bank::notification::delivery::{State, Subscriber};
use bank::notification::follower::Followed;
use bank::notification::gate::BreakerState;
use bank::notification::outgoing::SendFailure;
use bank::notification::sender::{Settled, Waiting};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most providers shown of a subscriber.
const PROVIDERS_MAX: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Figures {
    of: Mutex<BTreeMap<String, Counts>>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    made: u64,
    sent: u64,
    put_aside: u64,
    retried: u64,
    failed: u64,
    dropped: u64,
    /// By shard.
    waiting: BTreeMap<u16, u64>,
    /// Those of them that are due.
    due: BTreeMap<u16, u64>,
    lag: BTreeMap<u16, u64>,
    set_back: u64,
    /// By provider: 0 closed, 1 half open, 2 open.
    breakers: BTreeMap<String, u64>,
}

/// Of what was to be sent, how many wait no longer, and how many are not due any more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    pub(super) over: u64,
    pub(super) not_due: u64,
}

impl Figures {
    fn of(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everybody but these.
    pub(super) fn keep(&self, subscribers: &[Subscriber]) {
        let names: Vec<String> = subscribers.iter().map(Subscriber::name).collect();
        self.of().retain(|name, _| names.contains(name));
    }

    fn change(&self, subscriber: &str, change: impl FnOnce(&mut Counts)) {
        let mut of = self.of();
        match of.get_mut(subscriber) {
            Some(counts) => change(counts),
            None => change(of.entry(subscriber.to_owned()).or_default()),
        }
    }

    pub(super) fn followed(&self, subscriber: &str, shard: u16, followed: &Followed) {
        self.change(subscriber, |counts| {
            counts.made += followed.made as u64;
            counts.dropped += followed.dropped as u64;
            *counts.waiting.entry(shard).or_default() += followed.made_due as u64;
            *counts.due.entry(shard).or_default() += followed.made_due as u64;
        });
    }

    /// So many entries are not read.
    pub(super) fn lags(&self, subscriber: &str, shard: u16, entries: u64) {
        self.change(subscriber, |counts| _ = counts.lag.insert(shard, entries));
    }

    pub(super) fn found_waiting(&self, subscriber: &str, shard: u16, waiting: Waiting) {
        self.change(subscriber, |counts| {
            counts.waiting.insert(shard, waiting.all as u64);
            counts.due.insert(shard, waiting.due as u64);
        });
    }

    /// How many are due, about.
    pub(super) fn due(&self, subscriber: &str, shard: u16) -> u64 {
        self.of().get(subscriber).and_then(|counts| counts.due.get(&shard).copied()).unwrap_or(0)
    }

    /// The cursor was beyond the end of a journal.
    pub(super) fn set_back(&self, subscriber: &str) {
        self.change(subscriber, |counts| counts.set_back += 1);
    }

    /// A station that another node has now says nothing here.
    pub(super) fn left(&self, subscriber: &str, shard: u16) {
        self.change(subscriber, |counts| {
            counts.waiting.remove(&shard);
            counts.due.remove(&shard);
            counts.lag.remove(&shard);
        });
    }

    pub(super) fn settled(&self, subscriber: &str, shard: u16, settled: &[(Settled, State)], gone: Gone) {
        self.change(subscriber, |counts| {
            for (what, state) in settled {
                match (what, state) {
                    (_, State::Sent) => counts.sent += 1,
                    (_, State::Outbox) => counts.put_aside += 1,
                    (_, State::Dropped) => counts.dropped += 1,
                    (Settled::Failed(SendFailure::Later { .. } | SendFailure::SlowDown { .. }), State::Waiting) => {
                        counts.retried += 1;
                    }
                    (Settled::Failed(_), State::Failed) => counts.failed += 1,
                    _ => {}
                }
            }
            let waiting = counts.waiting.entry(shard).or_default();
            *waiting = waiting.saturating_sub(gone.over);
            let due = counts.due.entry(shard).or_default();
            *due = due.saturating_sub(gone.not_due);
        });
    }

    pub(super) fn breaker(&self, subscriber: &str, provider: &str, state: BreakerState) {
        let number = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.change(subscriber, |counts| {
            // Of a channel with many providers, which customers choose, those are shown that something is wrong with.
            if !provider.is_empty() && state == BreakerState::Closed {
                counts.breakers.remove(provider);
            } else if counts.breakers.len() < PROVIDERS_MAX || counts.breakers.contains_key(provider) {
                counts.breakers.insert(provider.to_owned(), number);
            }
        });
    }

    pub(super) fn write(&self, text: &mut String) {
        let of = self.of().clone();
        type Total = (&'static str, &'static str, fn(&Counts) -> u64);
        let totals: [Total; 7] = [
            ("florin_messages_made_total", "Messages made from the journal.", |counts| counts.made),
            ("florin_messages_sent_total", "Messages that a provider took.", |counts| counts.sent),
            ("florin_messages_outbox_total", "Messages written to the outbox.", |counts| counts.put_aside),
            ("florin_messages_retried_total", "Attempts that failed and are made again.", |counts| counts.retried),
            ("florin_messages_failed_total", "Messages that failed for good.", |counts| counts.failed),
            ("florin_messages_dropped_total", "Messages with nobody to send them to.", |counts| counts.dropped),
            ("florin_messages_set_back_total", "Cursors found beyond their journal's end.", |counts| counts.set_back),
        ];
        for (name, help, value) in totals {
            head(text, name, help, "counter");
            for (subscriber, counts) in &of {
                line(text, name, &format!("subscriber=\"{subscriber}\""), value(counts));
            }
        }
        type Gauge = (&'static str, &'static str, fn(&Counts) -> &BTreeMap<u16, u64>);
        let gauges: [Gauge; 2] = [
            ("florin_messages_to_send", "Messages that wait to be sent, about.", |counts| &counts.waiting),
            ("florin_messages_lag_entries", "Entries of the journal not read for messages.", |counts| &counts.lag),
        ];
        for (name, help, values) in gauges {
            head(text, name, help, "gauge");
            for (subscriber, counts) in &of {
                for (shard, value) in values(counts) {
                    line(text, name, &format!("subscriber=\"{subscriber}\",shard=\"{shard}\""), *value);
                }
            }
        }
        let name = "florin_messages_breaker";
        head(text, name, "How a provider's breaker stands: 0 closed, 1 half open, 2 open.", "gauge");
        for (subscriber, counts) in &of {
            for (provider, value) in &counts.breakers {
                let provider: String = provider.chars().filter(|character| *character != '"').collect();
                line(text, name, &format!("subscriber=\"{subscriber}\",provider=\"{provider}\""), *value);
            }
        }
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    _ = writeln!(text, "{name}{{{labels}}} {value}");
}

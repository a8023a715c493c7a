//! The way of messages between shards: a relay per shard reads its journal and hands on what the entries say to others.
//!
//! Nothing here is trusted with money. Each message has a gapless number per pair of shards, the receiver records the
//! one it took last, and takes only the next. So a relay may stop anywhere, run twice, or lose what it read: it keeps no
//! position of its own that matters, and what a receiver misses is pulled from the sender's journal.

use crate::Bank;
use crate::ports::{Bus, Env};
use futures_util::future::{Either, join_all, select};
use ledger::command::{Command, Receive};
use ledger::event::{Channel, Context, Outcome};
use ledger::ids::{Sequence, ShardId};
use ledger::rejection::Rejection;
use ledger::saga::{Envelope, Message, messages};
use ledger::time::Timestamp;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use store::query::{EntryQuery, PAGE_MAX, SagaQuery};
use store::{Answer, Fault, Request, SUBMISSION_MAX, Submission, codec};

/// How a relay waits and tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelaySettings {
    /// How long a node keeps the lease of a shard's relay, in microseconds. A dead node's is taken over after that.
    pub lease_us: u64,
    /// The longest first wait after a failed delivery, in microseconds. It doubles with each failure; the wait is drawn
    /// from zero to it.
    pub retry_first_us: u64,
    /// The longest wait between two tries, in microseconds.
    pub retry_most_us: u64,
}

impl Default for RelaySettings {
    fn default() -> RelaySettings {
        RelaySettings { lease_us: 3_000_000, retry_first_us: 50_000, retry_most_us: 10_000_000 }
    }
}

/// What became of messages that were handed to their shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// All were taken, now or before.
    Taken,
    /// One before them is missing: this is the number of the next that can be taken.
    Gap(u64),
}

/// The number of the last message of each pair of shards, as a sweep saw it.
pub type Sent = BTreeMap<(ShardId, ShardId), u64>;

/// Who asks, where one shard tells another.
static SAGA: LazyLock<Arc<Context>> = LazyLock::new(|| {
    Arc::new(Context { principal: "florin".into(), channel: Channel::Saga, correlation: "".into(), cause: None })
});

impl Bank {
    /// Hands messages of one pair of shards to their receiver, in their order. They are durable there when this ends.
    ///
    /// # Errors
    /// A fault of the receiving shard: hand them on again.
    pub async fn deliver(&self, envelopes: Vec<Envelope>) -> Result<Delivered, Fault> {
        let mut rest = envelopes;
        let mut refused = None;
        while let Some(first) = rest.first() {
            let to = self.reach(first.to)?;
            let after = rest.split_off(rest.len().min(SUBMISSION_MAX));
            let request = |(place, envelope): (usize, &Envelope)| {
                let refused = refused.filter(|_| place == 0);
                Request {
                    key: None,
                    command: Command::Receive(Box::new(Receive { envelope: envelope.clone(), refused })),
                }
            };
            let requests = rest.iter().enumerate().map(request).collect();
            let answers = to.submit(Submission { context: SAGA.clone(), requests, dry_run: false }).await?;
            refused = None;
            match first_left(&rest, &answers)? {
                None => rest = after,
                Some(Left::Gap(expected)) => return Ok(Delivered::Gap(expected)),
                Some(Left::Broken(place)) => {
                    // The rule book fails on it there. Asked for a part it says no instead; an answer it must take.
                    if !matches!(rest[place].message, Message::Take(_)) {
                        let number = rest[place].position.number;
                        let detail =
                            format!("shard {} cannot take message {number} of {}", rest[place].to, rest[place].from);
                        return Err(Fault::Corrupt { detail });
                    }
                    refused = Some(Rejection::InvariantBroken);
                    rest.drain(..place);
                    rest.extend(after);
                }
            }
        }
        Ok(Delivered::Taken)
    }

    /// Takes a parcel that a bus brought. What came before it and is missing is pulled from its sender.
    ///
    /// # Errors
    /// A fault of either shard: take it again, or leave it to the sweeper. `Corrupt` for bytes that are no parcel.
    pub async fn take_parcel(&self, parcel: &[u8]) -> Result<(), Fault> {
        let envelopes = codec::decode_parcel(parcel).map_err(|error| Fault::Corrupt { detail: error.to_string() })?;
        self.take_envelopes(envelopes).await
    }

    /// As [`Bank::take_parcel`], for what is unpacked already: what one shard tells one other, from one parcel or more.
    ///
    /// # Errors
    /// As [`Bank::take_parcel`].
    pub async fn take_envelopes(&self, envelopes: Vec<Envelope>) -> Result<(), Fault> {
        let Some((from, to)) = envelopes.first().map(|first| (first.from, first.to)) else { return Ok(()) };
        let is_known = |shard: ShardId| usize::from(shard.number()) < self.shards().len();
        if !is_known(from) || !is_known(to) {
            return Err(Fault::Corrupt {
                detail: format!("a parcel from shard {from} to {to}, of which this bank has not both"),
            });
        }
        if let Delivered::Gap(_) = self.deliver(envelopes).await? {
            while self.pull(from, to).await? {}
        }
        Ok(())
    }

    /// Brings the next messages that a shard misses of another, from the sender's journal; whether there may be more.
    ///
    /// # Errors
    /// A fault of either shard.
    pub async fn pull(&self, from: ShardId, to: ShardId) -> Result<bool, Fault> {
        let received = self.store(to).positions().await?.received.get(&from).copied().unwrap_or_default();
        let sent = self.store(from).positions().await?.sent.get(&to).copied().unwrap_or(0);
        let forgot = || Fault::Corrupt {
            detail: format!(
                "shard {to} took message {} of shard {from} from its entry {}, which is not there: shard {from} was \
                 restored to an earlier state and has lost what it answered",
                received.number, received.sequence
            ),
        };
        if sent < received.number {
            return Err(forgot());
        }
        if sent == received.number {
            return Ok(false);
        }
        if 0 < received.number {
            let query = EntryQuery { after: received.sequence.saturating_sub(1), limit: 1 };
            let taken = self.store(from).entries(query).await?;
            let is_it = |envelope: &Envelope| envelope.to == to && envelope.position == received;
            if !taken.iter().flat_map(|entry| messages(from, entry)).any(|envelope| is_it(&envelope)) {
                return Err(forgot());
            }
        }
        let mut after = received.sequence;
        let mut missing = Vec::new();
        while missing.len() < SUBMISSION_MAX {
            let entries = self.store(from).entries(EntryQuery { after, limit: PAGE_MAX }).await?;
            let Some(last) = entries.last() else { break };
            after = last.header.sequence;
            let told = entries.iter().flat_map(|entry| messages(from, entry));
            missing.extend(told.filter(|envelope| envelope.to == to && received.number < envelope.position.number));
        }
        self.deliver(missing).await?;
        Ok(true)
    }

    /// Compares both ends of every pair of shards and brings what is missing; whether anything was.
    ///
    /// # Errors
    /// The first fault of a pair; the others were swept.
    pub async fn sweep(&self) -> Result<bool, Fault> {
        let shards: Vec<ShardId> = self.shards().iter().map(|store| store.shard()).collect();
        let mut result = Ok(false);
        for from in &shards {
            for to in shards.iter().filter(|to| *to != from) {
                match self.pull(*from, *to).await {
                    Ok(moved) => result = result.map(|moved_before| moved_before || moved),
                    Err(fault) => result = result.and(Err(fault)),
                }
            }
        }
        result
    }

    /// As [`Bank::sweep`], but leaves what is on its way to whoever carries it: brings only what had been sent when this was
    /// called the last time, and has still not arrived. `sent` is for the next call; it begins empty.
    ///
    /// # Errors
    /// As [`Bank::sweep`].
    pub async fn sweep_late(&self, sent: &mut Sent) -> Result<bool, Fault> {
        let mut known = BTreeMap::new();
        for store in self.shards() {
            known.insert(store.shard(), store.positions().await?);
        }
        let mut result = Ok(false);
        for (from, positions) in &known {
            for (to, number) in &positions.sent {
                let before = sent.insert((*from, *to), *number).unwrap_or(0);
                let received = known.get(to).and_then(|there| there.received.get(from)).map_or(0, |last| last.number);
                if before <= received {
                    continue;
                }
                match self.pull(*from, *to).await {
                    Ok(moved) => result = result.map(|moved_before| moved_before || moved),
                    Err(fault) => result = result.and(Err(fault)),
                }
            }
        }
        result
    }

    /// Brings every saga to its end, for programs that end themselves.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn finish_sagas(&self) -> Result<(), Fault> {
        while self.sweep().await? {}
        Ok(())
    }

    /// How many sagas began at or before this time and are still open.
    ///
    /// # Errors
    /// A fault of any shard.
    pub async fn sagas_older_than(&self, until: Timestamp) -> Result<usize, Fault> {
        let mut count = 0;
        for store in self.shards() {
            count += store.open_sagas(SagaQuery { until, before: None, limit: PAGE_MAX }).await?.items.len();
        }
        Ok(count)
    }
}

/// The first message that was not taken, and why.
enum Left {
    Gap(u64),
    Broken(usize),
}

fn first_left(envelopes: &[Envelope], answers: &[Answer]) -> Result<Option<Left>, Fault> {
    for (place, envelope) in envelopes.iter().enumerate() {
        let outcome = answers.get(place).and_then(Answer::outcome);
        match outcome {
            Some(Outcome::Event(_)) => {}
            Some(Outcome::Rejection { rejection: Rejection::MessageOutOfOrder { expected }, .. }) => {
                if *expected <= envelope.position.number {
                    return Ok(Some(Left::Gap(*expected)));
                }
            }
            Some(Outcome::Rejection { rejection: Rejection::InvariantBroken, .. }) => {
                return Ok(Some(Left::Broken(place)));
            }
            Some(Outcome::Rejection { rejection, .. }) => {
                return Err(Fault::Corrupt { detail: format!("a message between shards was rejected: {rejection}") });
            }
            None => return Err(Fault::Unavailable { reason: "a message between shards was not answered".into() }),
        }
    }
    Ok(None)
}

/// The relay of one shard. It runs until it is dropped.
pub struct Relay {
    bank: Arc<Bank>,
    shard: ShardId,
    /// Tells this relay from those of other nodes.
    holder: u128,
    bus: Option<Arc<dyn Bus>>,
    settings: RelaySettings,
    /// The entry read last.
    read: Sequence,
    lanes: BTreeMap<ShardId, Lane>,
}

/// What is on its way to one shard.
#[derive(Default)]
struct Lane {
    queue: Vec<Envelope>,
    /// The receiver misses something that is no longer in the queue.
    is_behind: bool,
    /// Failures in a row.
    failures: u32,
    /// Not before this time.
    retry_at: Timestamp,
}

/// Messages kept for a shard that does not take them; beyond that they are read from the journal again.
const QUEUE_MAX: usize = 65_536;

impl Relay {
    /// The relay of a shard: directly to the other shards, or over a bus.
    pub fn new(bank: Arc<Bank>, shard: ShardId, bus: Option<Arc<dyn Bus>>, settings: RelaySettings) -> Relay {
        let mut holder = [0; 16];
        bank.env().fill(&mut holder);
        let holder = u128::from_le_bytes(holder);
        Relay { bank, shard, holder, bus, settings, read: 0, lanes: BTreeMap::new() }
    }

    /// Relays for ever. Faults are tried again with growing waits; `told` hears of each.
    pub async fn run(mut self, told: impl Fn(ShardId, &Fault)) {
        let mut failures = 0;
        let mut leased_until = Timestamp::ZERO;
        loop {
            let now = self.bank.now();
            if leased_until <= now {
                match self.take_lease(now).await {
                    Ok(until) if now < until => {
                        let is_new = leased_until == Timestamp::ZERO;
                        leased_until = until;
                        if is_new && let Err(fault) = self.start().await {
                            told(self.shard, &fault);
                            leased_until = Timestamp::ZERO;
                        }
                    }
                    Ok(_) => leased_until = Timestamp::ZERO,
                    Err(fault) => {
                        told(self.shard, &fault);
                        leased_until = Timestamp::ZERO;
                    }
                }
                if leased_until == Timestamp::ZERO {
                    self.bank.env().sleep(self.settings.lease_us / 3).await;
                    continue;
                }
            }
            match self.step(&told).await {
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    self.wait().await;
                }
                Err(fault) => {
                    told(self.shard, &fault);
                    failures += 1;
                    let wait = backoff(self.bank.env().as_ref(), &self.settings, failures);
                    self.bank.env().sleep(wait).await;
                }
            }
        }
    }

    /// Until when this relay may be sure of the lease: a third of it, so that it is renewed twice before it ends.
    async fn take_lease(&self, now: Timestamp) -> Result<Timestamp, Fault> {
        let has_it = self.bank.store(self.shard).lease(self.holder, self.settings.lease_us).await?;
        let until = if has_it { now.microseconds() + self.settings.lease_us / 3 } else { 0 };
        Ok(Timestamp::from_microseconds(until).unwrap_or(Timestamp::ZERO))
    }

    /// Goes on from here; what others miss of before is pulled.
    async fn start(&mut self) -> Result<(), Fault> {
        let store = self.bank.store(self.shard).clone();
        self.read = store.head();
        self.lanes.clear();
        for to in store.positions().await?.sent.into_keys() {
            self.lanes.insert(to, Lane { is_behind: true, ..Lane::default() });
        }
        Ok(())
    }

    /// Reads what is new and hands it on; whether there was anything to do.
    async fn step(&mut self, told: &impl Fn(ShardId, &Fault)) -> Result<bool, Fault> {
        let store = self.bank.store(self.shard).clone();
        let mut has_read = false;
        for _ in 0..SUBMISSION_MAX.div_ceil(PAGE_MAX) {
            let entries = store.follow(EntryQuery { after: self.read, limit: PAGE_MAX }).await?;
            let Some(last) = entries.last() else { break };
            self.read = last.header.sequence;
            has_read = true;
            for envelope in entries.iter().flat_map(|entry| messages(self.shard, entry)) {
                self.lanes.entry(envelope.to).or_default().push(envelope);
            }
        }
        let now = self.bank.now();
        let (bank, bus, shard) = (&self.bank, self.bus.as_deref(), self.shard);
        let settings = &self.settings;
        let handed = self.lanes.iter_mut().map(|(to, lane)| async move {
            if now < lane.retry_at || (lane.queue.is_empty() && !lane.is_behind) {
                return false;
            }
            match lane.hand_on(bank, bus, shard, *to).await {
                Ok(()) => {
                    (lane.failures, lane.retry_at) = (0, Timestamp::ZERO);
                    true
                }
                Err(fault) => {
                    told(*to, &fault);
                    lane.failures += 1;
                    let wait = backoff(bank.env().as_ref(), settings, lane.failures);
                    let retry_at = Timestamp::from_microseconds(bank.now().microseconds().saturating_add(wait));
                    lane.retry_at = retry_at.unwrap_or(Timestamp::MAX);
                    false
                }
            }
        });
        let has_handed = join_all(handed).await.into_iter().any(|handed| handed);
        Ok(has_read || has_handed)
    }

    /// Waits for the next entry, but not longer than for a retry or the lease.
    async fn wait(&self) {
        let now = self.bank.now().microseconds();
        let lease = self.settings.lease_us / 3;
        let retries = self.lanes.values().filter(|lane| lane.is_behind || !lane.queue.is_empty());
        let retry = retries.map(|lane| lane.retry_at.microseconds().saturating_sub(now)).min().unwrap_or(lease);
        let entry = pin!(self.bank.store(self.shard).head_after(self.read));
        let time = pin!(self.bank.env().sleep(retry.min(lease).max(1)));
        if let Either::Left((Err(_), time)) = select(entry, time).await {
            time.await; // a shard that does not serve is asked again later
        }
    }
}

impl Lane {
    fn push(&mut self, envelope: Envelope) {
        if self.is_behind {
            return; // it will be pulled
        }
        if self.queue.len() == QUEUE_MAX {
            self.queue.clear();
            self.is_behind = true;
            return;
        }
        self.queue.push(envelope);
    }

    async fn hand_on(&mut self, bank: &Bank, bus: Option<&dyn Bus>, from: ShardId, to: ShardId) -> Result<(), Fault> {
        if self.is_behind {
            self.is_behind = bank.pull(from, to).await?;
            return Ok(());
        }
        let Some(bus) = bus else {
            let delivered = bank.deliver(self.queue.clone()).await?;
            self.is_behind = delivered != Delivered::Taken;
            self.queue.clear();
            return Ok(());
        };
        bus.send(from, to, codec::encode_parcel(from, to, &self.queue)).await?;
        self.queue.clear();
        Ok(())
    }
}

/// Exponential backoff with full jitter: a wait between zero and a bound that doubles with each failure.
fn backoff(env: &dyn Env, settings: &RelaySettings, failures: u32) -> u64 {
    let doubled = settings.retry_first_us.saturating_mul(1 << failures.saturating_sub(1).min(32));
    let bound = doubled.min(settings.retry_most_us).max(1);
    let mut random = [0; 8];
    env.fill(&mut random);
    u64::from_le_bytes(random) % bound + 1
}

//! One subscriber's work on one shard: it reads the journal, and sends what is due, so much at a time.

use super::Post;
use super::figures::Figures;
use super::providers::Provider;
use bank::lease::Lease;
use bank::notification::Notifications;
use bank::notification::delivery::{Delivery, State, Subscriber};
use bank::notification::gate::{BreakerState, Gate};
use bank::notification::kind::Channel;
use bank::notification::outgoing::{Accepted, SendFailure};
use bank::notification::sender::{Due, Settled, Step};
use bank::ports::Env;
use ledger::ids::ShardId;
use ledger::time::Timestamp;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use store::Fault;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long to wait after a fault, and for a lease that another node has, in microseconds.
const PAUSE_US: u64 = 1_000_000;
/// A station with so many messages waiting reads no further: the journal keeps them as well.
const WAITING_MAX: usize = 100_000;
/// Messages fetched at a time, and known at a time: what is in memory of them.
const FETCHED: usize = 512;
const KNOWN_MAX: usize = 2048;
/// So many that are over are noted together, or fewer when so much time has passed, in microseconds.
const SETTLED_TOGETHER: usize = 256;
const SETTLE_US: u64 = 20_000;
/// Whoever reads in bulk and finds nothing to tell rests for so many times as long as it read, times how many do.
const REST: u64 = 3;

/// The gates of a subscriber, by provider; its stations share them.
pub(super) type Gates = Mutex<BTreeMap<String, Gate>>;

pub(super) struct Station {
    notifications: Arc<Notifications>,
    figures: Arc<Figures>,
    readers: Arc<AtomicUsize>,
    lease: Option<Lease>,
    subscriber: Subscriber,
    name: String,
    shard: ShardId,
    provider: Provider,
    gates: Arc<Gates>,
    /// Something new is due.
    nudge: Notify,
}

/// What is over: a delivery and what became of it.
type Done = (Delivery, Settled);

impl Station {
    pub(super) fn new(
        post: &Post,
        subscriber: Subscriber,
        shard: ShardId,
        provider: Provider,
        gates: Arc<Gates>,
    ) -> Station {
        let name = subscriber.name();
        Station {
            notifications: post.notifications.clone(),
            figures: post.figures.clone(),
            readers: post.readers.clone(),
            lease: post.lease(&format!("{name}/{}", shard.number())),
            subscriber,
            name,
            shard,
            provider,
            gates,
            nudge: Notify::new(),
        }
    }

    fn env(&self) -> &Arc<dyn Env> {
        self.notifications.bank().env()
    }

    /// Works for as long as this node has the lease, again and again.
    pub(super) async fn run(self) {
        let station = Arc::new(self);
        loop {
            if station.has_lease().await {
                // Whichever ends first, the others begin anew: all that matters is in records.
                tokio::select! {
                    () = station.keep_lease() => {}
                    () = station.follow() => {}
                    () = Arc::clone(&station).send() => {}
                }
                station.figures.left(&station.name, station.shard.number());
            }
            station.env().sleep(PAUSE_US).await;
        }
    }

    async fn has_lease(&self) -> bool {
        match &self.lease {
            None => true,
            Some(lease) => match lease.take(self.notifications.bank().now()).await {
                Ok(taken) => taken.is_some(),
                Err(fault) => {
                    self.tell(&fault);
                    false
                }
            },
        }
    }

    /// Ends when this node no longer has the lease for sure.
    async fn keep_lease(&self) {
        let Some(lease) = &self.lease else { return std::future::pending().await };
        let mut sure_until = self.notifications.bank().now();
        loop {
            match lease.take(self.notifications.bank().now()).await {
                Ok(Some(until)) => sure_until = until,
                Ok(None) => return,
                Err(fault) if self.notifications.bank().now() < sure_until => self.tell(&fault),
                Err(_) => return,
            }
            self.env().sleep(PAUSE_US).await;
        }
    }

    fn tell(&self, fault: &Fault) {
        tracing::warn!("messages by {} for shard {} wait: {fault}", self.name, self.shard);
    }

    /// Reads the journal for as long as it is this station's to read.
    async fn follow(&self) {
        let waiting = self.notifications.waiting(&self.subscriber, self.shard, WAITING_MAX).await;
        self.figures.found_waiting(&self.name, self.shard.number(), waiting.unwrap_or(0));
        let mut follower = match self.notifications.follower(&self.subscriber, self.shard).await {
            Ok(Some(follower)) => follower,
            Ok(None) => {
                // A channel that was set up while the bank serves begins now.
                if let Err(fault) = self.notifications.begin(&self.subscriber).await {
                    self.tell(&fault);
                }
                return self.env().sleep(PAUSE_US).await;
            }
            Err(fault) => return self.tell(&fault),
        };
        loop {
            while WAITING_MAX as u64 <= self.figures.waiting(&self.name, self.shard.number()) {
                self.env().sleep(PAUSE_US).await;
            }
            let began = self.env().now();
            let followed = match self.notifications.follow(&mut follower).await {
                Ok(Some(followed)) => followed,
                Ok(None) => return,
                Err(fault) => {
                    self.tell(&fault);
                    self.env().sleep(PAUSE_US).await;
                    continue;
                }
            };
            let store = self.notifications.bank().store(self.shard);
            let lag = store.head().saturating_sub(followed.reached);
            self.figures.followed(&self.name, self.shard.number(), (followed.made, followed.made_due), lag);
            if 0 < followed.made {
                self.nudge.notify_one();
            }
            if followed.has_more {
                self.rest(began, followed.made).await;
                continue;
            }
            let news = store.head_after(followed.reached);
            let waited = match followed.is_noted {
                true => news.await.map(|_| ()),
                false => tokio::select! {
                    news = news => news.map(|_| ()),
                    () = self.env().sleep(PAUSE_US) => Ok(()),
                },
            };
            if let Err(fault) = waited {
                self.tell(&fault);
                self.env().sleep(PAUSE_US).await;
            }
        }
    }

    /// Messages never take more of the machine than a third of a processor from money that moves with nobody to be told: all that
    /// read in bulk share that.
    async fn rest(&self, began: Timestamp, made: usize) {
        if 100 <= made {
            return;
        }
        let took_us = self.env().now().microseconds().saturating_sub(began.microseconds());
        let readers = self.readers.fetch_add(1, Ordering::Relaxed) + 1;
        let rest_us = took_us.clamp(100, 100_000) * REST * readers as u64;
        self.env().sleep(rest_us).await;
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sends what is due.
    async fn send(self: Arc<Station>) {
        let mut round = Round::default();
        loop {
            let wake = self.start_attempts(&mut round).await;
            self.note(&mut round);
            let now_us = self.env().now().microseconds();
            let wake_us = wake.map_or(PAUSE_US, |wake| wake.microseconds().saturating_sub(now_us).clamp(500, PAUSE_US));
            tokio::select! {
                Some(joined) = round.attempts.join_next() => {
                    let Ok(done) = joined else { return }; // it panicked: everything begins anew
                    round.done.push(done);
                    while let Some(Ok(done)) = round.attempts.try_join_next() {
                        round.done.push(done);
                    }
                }
                Some(noted) = round.noting.join_next() => {
                    let Ok(noted) = noted else { return };
                    for (delivery, _) in noted {
                        round.known.remove(&delivery.id);
                    }
                }
                () = self.nudge.notified() => round.may_have_more = true,
                () = self.env().sleep(wake_us) => round.may_have_more = true,
            }
        }
    }

    /// Begins as many attempts as may be under way; when to look again.
    async fn start_attempts(self: &Arc<Station>, round: &mut Round) -> Option<Timestamp> {
        if round.may_have_more && round.ready.len() < self.provider.concurrency && round.known.len() < KNOWN_MAX {
            match self.notifications.due(&self.subscriber, self.shard, &round.known, FETCHED).await {
                Ok(Due { now, next }) => {
                    round.known.extend(now.iter().map(|delivery| delivery.id.clone()));
                    round.may_have_more = next.is_some_and(|next| next <= self.env().now());
                    round.next = next;
                    round.ready.extend(now);
                }
                Err(fault) => {
                    self.tell(&fault);
                    return None;
                }
            }
        }
        while round.attempts.len() < self.provider.concurrency && !round.ready.is_empty() {
            if let Err(until) = self.admit() {
                return Some(until);
            }
            let Some(delivery) = round.ready.pop_front() else { break };
            round.attempts.spawn(Arc::clone(self).attempt(delivery));
        }
        let since_us = self.env().now().microseconds().saturating_sub(round.noted_at.microseconds());
        match round.done.is_empty() {
            true => round.next,
            false => Some(self.env().now().saturating_add(SETTLE_US.saturating_sub(since_us))),
        }
    }

    /// Of a channel with many providers each is asked for when it is known.
    fn admit(&self) -> Result<(), Timestamp> {
        match self.subscriber.channel {
            Channel::WebPush => Ok(()),
            _ => self.with_gate("", |gate, now| gate.admit(now)),
        }
    }

    fn with_gate<T>(&self, provider: &str, act: impl FnOnce(&mut Gate, Timestamp) -> T) -> T {
        let now = self.env().now();
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let rate: Option<NonZeroU32> = self.provider.rate;
        let gate = gates.entry(provider.to_owned()).or_insert_with(|| Gate::new(rate));
        act(gate, now)
    }

    /// Notes what is over, while others are being sent.
    fn note(self: &Arc<Station>, round: &mut Round) {
        let now = self.env().now();
        let since_us = now.microseconds().saturating_sub(round.noted_at.microseconds());
        let is_time = SETTLED_TOGETHER <= round.done.len() || SETTLE_US <= since_us || round.attempts.is_empty();
        if round.done.is_empty() || !round.noting.is_empty() || !is_time {
            return;
        }
        round.noted_at = now;
        let done = std::mem::take(&mut round.done);
        let station = Arc::clone(self);
        round.noting.spawn(async move {
            while let Err(fault) = station.notifications.settle(&done).await {
                station.tell(&fault);
                station.env().sleep(PAUSE_US).await;
            }
            let over = done.iter().map(|(delivery, what)| {
                let state = station.notifications.next(delivery, what).state;
                (what.clone(), state)
            });
            let over: Vec<(Settled, State)> = over.collect();
            station.figures.settled(&station.name, station.shard.number(), &over);
            done
        });
    }

    async fn attempt(self: Arc<Station>, delivery: Delivery) -> Done {
        let settled = match self.notifications.prepare(&delivery).await {
            Ok(Step::Send(outgoing)) => {
                let provider = self.provider.messenger.provider(&outgoing);
                let admitted = match self.subscriber.channel {
                    Channel::WebPush => self.with_gate(&provider, |gate, now| gate.admit(now)),
                    _ => Ok(()),
                };
                match admitted {
                    Err(until) => Settled::Held(until),
                    Ok(()) => {
                        let sent = self.provider.messenger.send(&outgoing).await;
                        self.heard(&provider, &delivery, sent).await
                    }
                }
            }
            Ok(Step::Settle(settled)) => settled,
            Err(fault) if fault.retryable() => {
                self.tell(&fault);
                Settled::Held(self.env().now().saturating_add(PAUSE_US))
            }
            Err(fault) => {
                tracing::error!("the message {} cannot be made: {fault}", delivery.id);
                Settled::Failed(SendFailure::later("cannot_be_made"))
            }
        };
        (delivery, settled)
    }

    /// Tells the gate what the provider said.
    async fn heard(&self, provider: &str, delivery: &Delivery, sent: Result<Accepted, SendFailure>) -> Settled {
        let (before, after) = self.with_gate(provider, |gate, now| {
            let before = gate.state(now);
            match &sent {
                Err(SendFailure::Later { is_providers: true, .. }) => gate.failed(now),
                Err(SendFailure::SlowDown { after_us, .. }) => {
                    gate.answered();
                    gate.slow_down(now, after_us.unwrap_or(0));
                }
                Ok(_) | Err(SendFailure::Later { .. } | SendFailure::Never { .. }) => gate.answered(),
            }
            (before, gate.state(now))
        });
        if before != after {
            let name = &self.name;
            match (after, &sent) {
                (BreakerState::Open, Err(failure)) => {
                    tracing::warn!("{name} {provider} fails ({}) and is left alone for a while", failure.code());
                }
                _ => tracing::info!("{name} {provider} answers again"),
            }
            self.figures.breaker(&self.name, provider, after);
        }
        if let Err(SendFailure::Never { is_gone: true, .. }) = &sent
            && let Err(fault) = self.notifications.gone(delivery).await
        {
            self.tell(&fault);
        }
        sent.map_or_else(Settled::Failed, Settled::Accepted)
    }
}

/// What a station is sending.
struct Round {
    ready: VecDeque<Delivery>,
    attempts: JoinSet<Done>,
    done: Vec<Done>,
    noting: JoinSet<Vec<Done>>,
    /// All of the above, and what is being noted.
    known: HashSet<String>,
    noted_at: Timestamp,
    may_have_more: bool,
    /// When the next is due.
    next: Option<Timestamp>,
}

impl Default for Round {
    fn default() -> Round {
        let (ready, attempts, done, noting, known, noted_at, next) = Default::default();
        Round { ready, attempts, done, noting, known, noted_at, may_have_more: true, next }
    }
}

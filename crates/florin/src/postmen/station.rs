//! One subscriber's work on one shard: it reads the journal, and sends what is due, so much at a time.

use super::Post;
use super::ending::Ending;
use super::figures::{Figures, Gone};
use super::lanes::{Lanes, Room};
use super::providers::Provider;
use super::waiting_room::WaitingRoom;
use bank::lease::Lease;
use bank::notification::Notifications;
use bank::notification::delivery::{Delivery, Queue, State, Subscriber};
use bank::notification::gate::{BreakerState, Gate};
use bank::notification::kind::Channel;
use bank::notification::outgoing::{Accepted, Outgoing, SendFailure};
use bank::notification::sender::{Settled, Step};
use bank::ports::Env;
use ledger::ids::{Sequence, ShardId};
use ledger::time::Timestamp;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Fault;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long to wait after a fault, and for a lease that another node has, in microseconds.
const PAUSE_US: u64 = 1_000_000;
/// A station with so many messages to be sent now reads no further: the journal keeps them as well. What is to be tried again later
/// counts among them when it is: what one customer's devices refuse never stops the others' messages.
const WAITING_MAX: usize = 100_000;
/// With a provider that has answered nothing for so long, in microseconds, so many are enough: reading on would only take from
/// money that moves.
const SILENT_US: u64 = 250_000;
const SILENT_WAITING_MAX: u64 = 512;
const SILENT_AGAIN_US: u64 = 50_000;
/// Messages fetched at a time, and known at a time: what is in memory of them.
const FETCHED: usize = 512;
const KNOWN_MAX: usize = 2048;
/// So many that are over are noted together, or fewer when so much time has passed, in microseconds.
const SETTLED_TOGETHER: usize = 256;
const SETTLE_US: u64 = 20_000;
/// Messages kept in memory for a customer with enough under way, for each that may be: a few, which begin as others end. Those
/// beyond are looked at again after so long, in microseconds.
const KEPT_FOR_EACH: usize = 4;
const FULL_AGAIN_US: u64 = 1_000_000;
/// What is for somebody who is slow, and what a provider of many is not to be asked for yet, is looked at again after so long,
/// at most, in microseconds.
const SLOW_AGAIN_US: u64 = 10_000_000;
const CLOSED_AGAIN_US: u64 = 30_000_000;
/// How often what waits is counted anew: at most so often, in microseconds, and for one in so many parts of the time.
const COUNT_US: u64 = 5_000_000;
const COUNT_SHARE: u64 = 20;
/// Gates of providers that nothing is known of any more are forgotten where there are so many.
const GATES_MAX: usize = 256;
/// Whoever reads in bulk and finds nothing to tell rests for so many times as long as it read, times how many do.
const REST: u64 = 3;

/// The gates of a subscriber, by provider; its stations share them.
pub(super) type Gates = Mutex<BTreeMap<String, Gate>>;

pub(super) struct Station {
    notifications: Arc<Notifications>,
    ending: Arc<Ending>,
    figures: Arc<Figures>,
    readers: Arc<AtomicUsize>,
    lease: Option<Lease>,
    subscriber: Subscriber,
    name: String,
    shard: ShardId,
    provider: Provider,
    gates: Arc<Gates>,
    lanes: Mutex<Lanes>,
    /// When a provider last answered, in microseconds.
    answered_us: AtomicU64,
    /// Something new is due.
    nudge: Notify,
}

/// What is over: a delivery and what became of it.
type Done = (Delivery, Settled);

/// How an attempt ended.
enum Tried {
    /// It is over.
    Done(Delivery, Settled),
    /// Somebody changed it: it is none of ours any more.
    Outrun(Delivery),
    /// The provider is not to be asked yet; nothing was sent.
    NotYet(Delivery),
    /// Its customer or this host has as many under way as it may have.
    Full(Delivery, String),
}

impl Station {
    pub(super) fn new(
        post: &Post,
        subscriber: Subscriber,
        shard: ShardId,
        provider: Provider,
        gates: Arc<Gates>,
    ) -> Station {
        let name = subscriber.name();
        let lanes = Mutex::new(Lanes::new(provider.concurrency));
        Station {
            lanes,
            notifications: post.notifications.clone(),
            ending: post.ending.clone(),
            figures: post.figures.clone(),
            readers: post.readers.clone(),
            lease: post.lease(&format!("{name}/{}", shard.number())),
            subscriber,
            name,
            shard,
            provider,
            gates,
            answered_us: AtomicU64::new(0),
            nudge: Notify::new(),
        }
    }

    fn env(&self) -> &Arc<dyn Env> {
        self.notifications.bank().env()
    }

    /// Works for as long as this node has the lease, again and again, until the node is stopped.
    pub(super) async fn run(self) {
        let station = Arc::new(self);
        while !station.ending.is_begun() {
            if let Some(sure_until) = station.take_lease().await {
                // Whichever ends first, the others begin anew: all that matters is in records.
                tokio::select! {
                    () = station.keep_lease(sure_until) => {}
                    () = station.count() => {}
                    () = station.follow() => {}
                    () = Arc::clone(&station).send() => {}
                }
                station.figures.left(&station.name, station.shard.number());
            }
            station.env().sleep(PAUSE_US).await;
        }
    }

    /// Until when this node is sure that the work is its own; `None` where it is another's.
    async fn take_lease(&self) -> Option<Timestamp> {
        match &self.lease {
            None => Some(Timestamp::MAX),
            Some(lease) => match lease.take(self.notifications.bank().now()).await {
                Ok(taken) => taken,
                Err(fault) => {
                    self.tell(&fault);
                    None
                }
            },
        }
    }

    /// Ends when this node no longer has the lease for sure.
    async fn keep_lease(&self, sure_until: Timestamp) {
        match &self.lease {
            Some(lease) => lease.keep(self.env().as_ref(), sure_until, |fault| self.tell(fault)).await,
            None => std::future::pending().await,
        }
    }

    /// Counts what waits, again and again: what is counted as it comes and goes knows nothing of what others changed.
    async fn count(&self) {
        loop {
            let began = self.env().now();
            match self.notifications.waiting(&self.subscriber, self.shard, WAITING_MAX).await {
                Ok(waiting) => self.figures.found_waiting(&self.name, self.shard.number(), waiting),
                Err(fault) => self.tell(&fault),
            }
            let took_us = self.env().now().microseconds().saturating_sub(began.microseconds());
            self.env().sleep(COUNT_US.max(took_us.saturating_mul(COUNT_SHARE))).await;
        }
    }

    fn tell(&self, fault: &Fault) {
        tracing::warn!("messages by {} for shard {} wait: {fault}", self.name, self.shard);
    }

    /// Whether enough is due that reading on can wait, and how long.
    fn is_far_ahead(&self) -> Option<u64> {
        let due = self.figures.due(&self.name, self.shard.number());
        let silent_us = self.env().now().microseconds().saturating_sub(self.answered_us.load(Ordering::Relaxed));
        match due {
            due if WAITING_MAX as u64 <= due => Some(PAUSE_US),
            due if SILENT_WAITING_MAX <= due && SILENT_US < silent_us => Some(SILENT_AGAIN_US),
            _ => None,
        }
    }

    /// Reads the journal for as long as it is this station's to read.
    async fn follow(&self) {
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
            while let Some(pause_us) = self.is_far_ahead() {
                self.note_lag(follower.reached());
                self.env().sleep(pause_us).await;
            }
            let began = self.env().now();
            let followed = match self.notifications.follow(&mut follower).await {
                Ok(Some(followed)) => followed,
                Ok(None) => return,
                Err(fault) => {
                    self.tell(&fault);
                    self.note_lag(follower.reached());
                    self.env().sleep(PAUSE_US).await;
                    continue;
                }
            };
            let store = self.notifications.bank().store(self.shard);
            self.figures.followed(&self.name, self.shard.number(), &followed);
            self.note_lag(followed.reached);
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

    fn note_lag(&self, reached: Sequence) {
        let lag = self.notifications.bank().store(self.shard).head().saturating_sub(reached);
        self.figures.lags(&self.name, self.shard.number(), lag);
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

    /// Sends what is due; where the node is stopped, until what is under way is noted.
    async fn send(self: Arc<Station>) {
        let _sending = Arc::clone(&self.ending).enter();
        let lanes = Lanes::new(self.provider.concurrency);
        let mut round = Round::new(WaitingRoom::new(lanes.of_customer_max() * KEPT_FOR_EACH));
        *self.lanes() = lanes;
        loop {
            let is_ending = self.ending.is_begun();
            if is_ending && round.has_nothing_under_way() {
                return;
            }
            let wake = match is_ending {
                true => self.wake(&round),
                false => self.start_attempts(&mut round).await,
            };
            self.note(&mut round);
            let now_us = self.env().now().microseconds();
            let wake_us = wake.map_or(PAUSE_US, |wake| wake.microseconds().saturating_sub(now_us).clamp(500, PAUSE_US));
            tokio::select! {
                Some(joined) = round.attempts.join_next() => {
                    let Ok(tried) = joined else { return }; // it panicked: everything begins anew
                    self.ended(&mut round, tried);
                    while let Some(Ok(tried)) = round.attempts.try_join_next() {
                        self.ended(&mut round, tried);
                    }
                }
                Some(noted) = round.noting.join_next() => {
                    let Ok(noted) = noted else { return };
                    for (delivery, _) in noted {
                        round.known.remove(&delivery.id);
                    }
                }
                () = self.ending.begun(), if !is_ending => {}
                () = self.nudge.notified() => round.may_have_more = true,
                () = self.env().sleep(wake_us) => round.may_have_more = true,
            }
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins as many attempts as may be under way; when to look again.
    async fn start_attempts(self: &Arc<Station>, round: &mut Round) -> Option<Timestamp> {
        if round.may_have_more
            && round.known.len() < KNOWN_MAX
            && let Err(fault) = self.fetch(round).await
        {
            self.tell(&fault);
            return None;
        }
        self.start_full(round);
        while round.attempts.len() < self.provider.concurrency && !round.ready.is_empty() {
            if let Some(until) = self.closed_until() {
                return Some(until);
            }
            let Some(delivery) = round.ready.pop_front() else { break };
            round.attempts.spawn(Arc::clone(self).attempt(delivery));
        }
        self.wake(round)
    }

    /// When the next is due, or what is over is to be noted.
    fn wake(&self, round: &Round) -> Option<Timestamp> {
        let since_us = self.env().now().microseconds().saturating_sub(round.noted_at.microseconds());
        match round.done.is_empty() {
            true => round.next,
            false => Some(self.env().now().saturating_add(SETTLE_US.saturating_sub(since_us))),
        }
    }

    /// Looks up what is due: what is urgent always, and it goes first.
    async fn fetch(&self, round: &mut Round) -> Result<(), Fault> {
        let has_room = round.ready.len() < self.provider.concurrency;
        let queues: &[Queue] = if has_room { &Queue::ALL } else { &[Queue::Urgent] };
        let mut next: Option<Timestamp> = None;
        for queue in queues {
            let place = (self.shard, *queue);
            let due = self.notifications.due(&self.subscriber, place, &round.known, FETCHED).await?;
            round.known.extend(due.now.iter().map(|delivery| delivery.id.clone()));
            next = next.into_iter().chain(due.next).min();
            match queue {
                Queue::Urgent => due.now.into_iter().rev().for_each(|delivery| round.ready.push_front(delivery)),
                Queue::Ordinary => round.ready.extend(due.now),
            }
            for key in due.unreadable {
                if !round.unreadable.contains(&key) {
                    tracing::error!("the message {key} cannot be read and is not sent");
                    round.unreadable.insert(key);
                }
            }
        }
        if has_room {
            round.may_have_more = next.is_some_and(|next| next <= self.env().now());
            round.next = next;
        }
        Ok(())
    }

    /// Begins attempts that found their customer or host with enough under way, where that is over. Those of a slow one do
    /// not wait in memory.
    fn start_full(self: &Arc<Station>, round: &mut Round) {
        let now = self.env().now();
        for (delivery, host) in round.full.leave() {
            let room = self.lanes().room(delivery.customer, &host, now.microseconds());
            match room {
                Room::Free if round.attempts.len() < self.provider.concurrency => {
                    round.attempts.spawn(Arc::clone(self).attempt(delivery));
                }
                Room::Free | Room::Full => self.keep(round, delivery, host),
                Room::Slow => {
                    round.done.push((delivery, Settled::Held(now.saturating_add(SLOW_AGAIN_US))));
                }
            }
        }
    }

    /// Keeps a message in memory until its customer and host have less under way, where there is room for it.
    fn keep(&self, round: &mut Round, delivery: Delivery, host: String) {
        if let Err(delivery) = round.full.enter(delivery, host) {
            let again = self.env().now().saturating_add(FULL_AGAIN_US);
            round.done.push((*delivery, Settled::Held(again)));
        }
    }

    fn ended(&self, round: &mut Round, tried: Tried) {
        match tried {
            Tried::Done(delivery, settled) => round.done.push((delivery, settled)),
            Tried::Outrun(delivery) => {
                round.known.remove(&delivery.id);
                round.may_have_more = true;
            }
            Tried::NotYet(delivery) => round.ready.push_front(delivery),
            Tried::Full(delivery, host) => self.keep(round, delivery, host),
        }
    }

    /// Of a channel with many providers each is asked for when it is known.
    fn closed_until(&self) -> Option<Timestamp> {
        match self.has_hosts() {
            true => None,
            false => self.with_gate("", |gate, now| gate.closed_until(now)),
        }
    }

    /// Whether customers choose the hosts that are asked.
    fn has_hosts(&self) -> bool {
        self.subscriber.channel == Channel::WebPush
    }

    fn with_gate<T>(&self, provider: &str, act: impl FnOnce(&mut Gate, Timestamp) -> T) -> T {
        let now = self.env().now();
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if GATES_MAX <= gates.len() && !gates.contains_key(provider) {
            gates.retain(|_, gate| !gate.is_as_new(now));
        }
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
            let (mut over, mut gone) = (Vec::with_capacity(done.len()), Gone::default());
            for (delivery, what) in &done {
                let next = station.notifications.next(delivery, what);
                let is_over = next.state != State::Waiting;
                gone.over += u64::from(delivery.is_of_journal() && is_over);
                gone.not_due += u64::from(delivery.is_of_journal() && (is_over || now.microseconds() < next.due_us));
                over.push((what.clone(), next.state));
            }
            station.figures.settled(&station.name, station.shard.number(), &over, gone);
            done
        });
    }

    async fn attempt(self: Arc<Station>, delivery: Delivery) -> Tried {
        let settled = match self.notifications.prepare(&delivery).await {
            Ok(Step::Send(outgoing)) => {
                let provider = self.provider.messenger.provider(&outgoing);
                return match self.has_hosts() {
                    true => self.attempt_with_host(delivery, &outgoing, provider).await,
                    false if self.with_gate(&provider, |gate, now| gate.admit(now)).is_err() => Tried::NotYet(delivery),
                    false => {
                        let sent = self.provider.messenger.send(&outgoing).await;
                        let settled = self.heard(&provider, (&delivery, outgoing.now), sent).await;
                        Tried::Done(delivery, settled)
                    }
                };
            }
            Ok(Step::Settle(settled)) => settled,
            Ok(Step::Outrun) => return Tried::Outrun(delivery),
            Err(fault) if fault.retryable() => {
                self.tell(&fault);
                Settled::Held(self.env().now().saturating_add(PAUSE_US))
            }
            Err(fault) => {
                tracing::error!("the message {} cannot be made: {fault}", delivery.id);
                Settled::Failed(SendFailure::later("cannot_be_made"))
            }
        };
        Tried::Done(delivery, settled)
    }

    /// The same where a customer chose the host: never so many at a time that others wait.
    async fn attempt_with_host(&self, delivery: Delivery, outgoing: &Outgoing, host: String) -> Tried {
        let (now, customer) = (self.env().now(), delivery.customer);
        {
            let mut lanes = self.lanes();
            match lanes.room(customer, &host, now.microseconds()) {
                Room::Free => {}
                Room::Full => return Tried::Full(delivery, host),
                Room::Slow => return Tried::Done(delivery, Settled::Held(now.saturating_add(SLOW_AGAIN_US))),
            }
            if let Err(until) = self.with_gate(&host, |gate, now| gate.admit(now)) {
                let until = until.min(now.saturating_add(CLOSED_AGAIN_US));
                return Tried::Done(delivery, Settled::Held(until));
            }
            lanes.enter(customer, &host, now.microseconds());
        }
        let sent = self.provider.messenger.send(outgoing).await;
        self.lanes().leave(customer, &host, now.microseconds());
        let settled = self.heard(&host, (&delivery, outgoing.now), sent).await;
        Tried::Done(delivery, settled)
    }

    /// Tells the gate what the provider said.
    async fn heard(
        &self,
        provider: &str,
        (delivery, sent_at): (&Delivery, Timestamp),
        sent: Result<Accepted, SendFailure>,
    ) -> Settled {
        // An endpoint of webhooks is nobody's but the bank's.
        let customer = (self.subscriber.channel != Channel::Webhook).then_some(delivery.customer);
        if !matches!(&sent, Err(SendFailure::Later { is_providers: true, .. })) {
            self.answered_us.store(self.env().now().microseconds(), Ordering::Relaxed);
        }
        let (before, after) = self.with_gate(provider, |gate, now| {
            let before = gate.state(now);
            match &sent {
                Err(SendFailure::Later { is_providers: true, .. }) => gate.failed(now, customer),
                Err(SendFailure::SlowDown { after_us, .. }) => gate.slow_down(now, *after_us, customer),
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
            && let Err(fault) = self.notifications.gone(delivery, sent_at).await
        {
            self.tell(&fault);
        }
        sent.map_or_else(Settled::Failed, Settled::Accepted)
    }
}

/// What a station is sending.
struct Round {
    ready: VecDeque<Delivery>,
    /// What waits for a customer or a host with enough under way.
    full: WaitingRoom,
    attempts: JoinSet<Tried>,
    done: Vec<Done>,
    noting: JoinSet<Vec<Done>>,
    /// All of the above, and what is being noted.
    known: HashSet<String>,
    /// What was told of already.
    unreadable: HashSet<String>,
    noted_at: Timestamp,
    may_have_more: bool,
    /// When the next is due.
    next: Option<Timestamp>,
}

impl Round {
    fn new(full: WaitingRoom) -> Round {
        let (ready, attempts, done, noting, known, unreadable, noted_at, next) = Default::default();
        Round { ready, full, attempts, done, noting, known, unreadable, noted_at, may_have_more: true, next }
    }

    fn has_nothing_under_way(&self) -> bool {
        self.attempts.is_empty() && self.done.is_empty() && self.noting.is_empty()
    }
}

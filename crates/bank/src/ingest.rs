//! Queued events: nobody waits for their answers, so what does not take effect becomes a dead letter.
//!
//! Events are taken in parts of up to a thousand. Each part is 1. read and sealed, 2. turned into requests, each with the
//! key of its source, id and home, 3. submitted, shard by shard in the order of the events. While a part is submitted,
//! the next is read. Parts are submitted one after the other, so that events of a shard take effect in their order.

use crate::digest::{EVENT_FINGERPRINT, Namespace, Scope};
use crate::error::BankError;
use crate::event::{self, Failure, ReadEvent, Said};
use crate::moving::{Patience, elsewhere};
use crate::sealing::{EVENT_PURPOSE, EVENTS_PER_PAYLOAD_KEY, Sealer};
use crate::submit::{ShardBatch, allow, submit_batches, unknown_customer};
use crate::transfer::{Terms, transfer};
use crate::{Bank, Caller};
use futures_util::future::join;
use ledger::command::{AtHome, Between, Command, Ingest, OpenAccount, RecordDeadLetter};
use ledger::customer::Sealed;
use ledger::event::{Context, Event, Key, Outcome};
use ledger::ids::{CustomerId, DeadLetterId, ShardId, TransferId, slot};
use ledger::rejection::Rejection;
use ledger::token::Role;
use ledger::transfer::{LegAmount, TransferKind};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use store::{Answer, Fault, Request, transfers_of};

/// Most bytes of one event.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// How much of an event that is too long is kept.
pub const EVENT_BYTES_KEPT: usize = 1024;
/// Most bytes of events that are submitted together.
const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The first byte of a payload: the whole event follows.
pub(crate) const WHOLE: u8 = 0;
/// The first byte of a payload: only the beginning of the event follows.
pub(crate) const BEGINNING: u8 = 1;

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventResult {
    /// The event's `id`, or that of its place, where it has one.
    pub id: Option<Box<str>>,
    /// What became of it.
    pub outcome: EventOutcome,
}

/// See [`EventResult`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventOutcome {
    /// It took effect now.
    Accepted {
        /// The transfer it made, if it made one.
        transfer: Option<TransferId>,
    },
    /// It was seen before, whatever became of it then.
    Replayed {
        /// The transfer it made then, if it made one.
        transfer: Option<TransferId>,
    },
    /// It took no effect and waits for a person.
    DeadLettered {
        /// Where.
        dead_letter: DeadLetterId,
        /// Why.
        code: Box<str>,
    },
}

/// Counts that add up to the events read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Took effect.
    pub accepted: u64,
    /// Seen before.
    pub replayed: u64,
    /// Took no effect.
    pub dead_lettered: u64,
}

impl EventCounts {
    /// Counts a result.
    pub fn add(&mut self, result: &EventResult) {
        match result.outcome {
            EventOutcome::Accepted { .. } => self.accepted += 1,
            EventOutcome::Replayed { .. } => self.replayed += 1,
            EventOutcome::DeadLettered { .. } => self.dead_lettered += 1,
        }
    }

    /// How many events were counted.
    pub fn total(&self) -> u64 {
        self.accepted + self.replayed + self.dead_lettered
    }
}

/// The elements of a JSON array, each as its own text; `None` if the text is no JSON array.
pub fn events_of_array(text: &[u8]) -> Option<Vec<&[u8]>> {
    let elements: Vec<&serde_json::value::RawValue> = serde_json::from_slice(text).ok()?;
    Some(elements.into_iter().map(|element| element.get().as_bytes()).collect())
}

/// An event ready to be submitted.
struct Prepared {
    id: Option<Box<str>>,
    shard: ShardId,
    request: Request,
    /// The customer who is made known by it.
    registers: Option<CustomerId>,
    /// The source and the scope of its key, where it has one.
    key: Option<(Box<str>, Scope)>,
}

/// What an event without `source` or `id` is known by: where it came from, and its place there. Nothing else may ever have
/// had that place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Such as a topic and a partition.
    pub source: Box<str>,
    /// Such as an offset.
    pub id: Box<str>,
}

impl Bank {
    /// Takes events in order; any number, each as its own text (longer than [`EVENT_BYTES_MAX`]: a dead letter). The
    /// results align with the events. After a fault the same events may be sent again: those done count as replayed.
    ///
    /// For a stream: call it again and again with a few thousand events, in order, one call after the other.
    ///
    /// # Errors
    /// `Forbidden` for an auditor, or a fault.
    pub async fn ingest<E: AsRef<[u8]> + Sync>(
        &self,
        caller: &Caller,
        events: &[E],
    ) -> Result<Vec<EventResult>, BankError> {
        self.ingest_from(caller, events, |_| None).await
    }

    /// As [`Bank::ingest`], for what may deliver an event twice and knows its place: one without `source` or `id` makes no
    /// second dead letter either.
    ///
    /// # Errors
    /// As [`Bank::ingest`].
    pub async fn ingest_from<E: AsRef<[u8]> + Sync>(
        &self,
        caller: &Caller,
        events: &[E],
        place: impl Fn(&E) -> Option<Place> + Sync,
    ) -> Result<Vec<EventResult>, BankError> {
        allow(caller, Role::Teller)?;
        let context = caller.context();
        let mut results = Vec::with_capacity(events.len());
        let mut prepared: (&[E], Vec<Prepared>) = (&[], Vec::new());
        let mut rest = events;
        loop {
            let (part, after) = rest.split_at(part_length(rest));
            rest = after;
            let (submitting, ready) = prepared;
            let (submitted, preparing) =
                join(self.submit_part(&context, submitting, ready, &place), self.prepare(part, &place)).await;
            results.extend(submitted?);
            prepared = (part, preparing?);
            if part.is_empty() {
                return Ok(results);
            }
        }
    }

    /// Reads the events of a part and seals what may have to be kept of them.
    async fn prepare<E: AsRef<[u8]>>(
        &self,
        part: &[E],
        place: &(impl Fn(&E) -> Option<Place> + Sync),
    ) -> Result<Vec<Prepared>, Fault> {
        if part.is_empty() {
            return Ok(Vec::new());
        }
        let today = self.now().day();
        let read: Vec<ReadEvent> = part
            .iter()
            .map(|event| match event.as_ref() {
                event if EVENT_BYTES_MAX < event.len() => event::unreadable(&event[..EVENT_BYTES_MAX], too_large()),
                event => event::read(event, today),
            })
            .collect();
        let profile_sealers = self.profile_sealers(&read).await?;
        let payload_sealer = self.payload_sealer(part.len()).await?;
        let prepared = part.iter().zip(read).enumerate().map(|(index, (event, read))| {
            let payload = self.payload(&payload_sealer, event.as_ref());
            let is_known = read.source.is_some() && read.id.is_some();
            let place = if is_known { None } else { place(event) };
            self.prepare_one(read, place, profile_sealers.get(&index), payload)
        });
        Ok(prepared.collect())
    }

    /// A fresh key for each registration that will store its profile, by the event's place.
    async fn profile_sealers(&self, read: &[ReadEvent]) -> Result<HashMap<usize, Sealer>, Fault> {
        let mut places = Vec::new();
        for (index, event) in read.iter().enumerate() {
            if let Ok(Said::Register { id, .. }) = &event.said
                && self.needs_sealing(Some(*id)).await?
            {
                places.push(index);
            }
        }
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let keys = self.keyring.fresh_keys(places.len()).await?;
        Ok(places.into_iter().zip(keys).map(|(place, (id, key))| (place, Sealer::new(id, &key))).collect())
    }

    /// What is kept of an event, sealed.
    pub(crate) fn payload(&self, sealer: &Sealer, event: &[u8]) -> Sealed {
        let (form, kept) = match event {
            event if EVENT_BYTES_MAX < event.len() => (BEGINNING, &event[..EVENT_BYTES_KEPT]),
            event => (WHOLE, event),
        };
        sealer.seal(self.env.as_ref(), EVENT_PURPOSE, &[&[form], kept].concat())
    }

    fn prepare_one(
        &self,
        read: ReadEvent,
        place: Option<Place>,
        profile_sealer: Option<&Sealer>,
        payload: Sealed,
    ) -> Prepared {
        let shard = self.shard_of_scope(read.scope);
        let (source, id) = match place {
            Some(place) => (Some(place.source), Some(place.id)),
            None => (read.source, read.id),
        };
        let key = source.zip(id.as_deref()).map(|(source, id)| {
            let digest = self.digests.key(Namespace::Source(&source), read.scope, id.as_bytes());
            (Key { digest, fingerprint: EVENT_FINGERPRINT }, source)
        });
        let registers = match &read.said {
            Ok(Said::Register { id, .. }) => Some(*id),
            _ => None,
        };
        let command = match read.said.and_then(|said| self.command_of(said, profile_sealer)) {
            Ok((_, Command::Between(between))) => {
                let Between { command, routes, .. } = *between;
                let command = Command::Ingest(Box::new(Ingest { command, payload }));
                Command::Between(Box::new(Between { command, routes, payload: None }))
            }
            Ok((_, command)) => Command::Ingest(Box::new(Ingest { command, payload })),
            Err(failure) => dead_letter(&failure, payload),
        };
        let (shard, command) = match command {
            Command::RecordDeadLetter(_) => self.letter_at_home(command, Some(read.scope)),
            command => (shard, command),
        };
        let (key, source) = key.unzip();
        let request = Request { key, command };
        Prepared { id, shard, request, registers, key: source.map(|source| (source, read.scope)) }
    }

    /// The command that an event asks for, and the shard that decides it. Without a sealer a registration leaves its
    /// profile out, see [`Bank::needs_sealing`].
    pub(crate) fn command_of(
        &self,
        said: Said,
        profile_sealer: Option<&Sealer>,
    ) -> Result<(ShardId, Command), Failure> {
        let transfer = match said {
            Said::Register { id, profile } => {
                return Ok((self.shard_of_user(id), self.registration(Some(id), &profile, profile_sealer)));
            }
            Said::Open { id, customer, kind, currency, overdraft_limit } => {
                let open = OpenAccount { id: Some(id), customer, kind, currency, overdraft_limit };
                return Ok((self.shard_of_account(id), Command::OpenAccount(open)));
            }
            Said::Deposit { to, movement } => self.deposit(to, None, terms(movement)).map_err(|no| rejected(&no))?,
            Said::Withdrawal { from, movement } => {
                self.withdrawal(from, None, terms(movement)).map_err(|no| rejected(&no))?
            }
            Said::Transfer { from, to, movement } => transfer(TransferKind::Transfer, from, to, terms(movement)),
        };
        if self.is_too_far_back(transfer.effective_at) {
            return Err(rejected(&Rejection::EffectiveAtInvalid));
        }
        let home = self.home_of_transfers(std::slice::from_ref(&transfer));
        match self.between_transfers(Command::Transfer(transfer), home.shard) {
            Ok(command) => Ok((home.shard, command)),
            Err(error) => Err(Failure::new("not_available_yet", error.to_string())),
        }
    }

    /// Submits a part and tells what became of each event.
    async fn submit_part<E: AsRef<[u8]>>(
        &self,
        context: &Arc<Context>,
        events: &[E],
        prepared: Vec<Prepared>,
        place: &(impl Fn(&E) -> Option<Place> + Sync),
    ) -> Result<Vec<EventResult>, BankError> {
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(prepared.len(), || None);
        let mut batches = ShardBatch::per_shard(&self.shards);
        let mut registered = BTreeSet::new();
        let mut known = Vec::with_capacity(prepared.len());
        for (index, mut event) in prepared.into_iter().enumerate() {
            if let Some(customer) = self.customer_elsewhere(&event) {
                // Whoever is registered by this very part must be so before the account is opened.
                if registered.contains(&customer) {
                    self.collect(
                        context,
                        std::mem::replace(&mut batches, ShardBatch::per_shard(&self.shards)),
                        &mut answers,
                    )
                    .await?;
                    registered.clear();
                }
                if self.user(customer).await?.is_none() {
                    reject_customer(&mut event.request.command);
                }
            }
            registered.extend(event.registers);
            match self.answer_of_earlier_shard(&event.request, event.shard).await? {
                Some(answer) => answers[index] = Some(answer),
                None => batches[usize::from(event.shard.number())].push(index, event.request),
            }
            known.push((event.id, event.key));
        }
        self.collect(context, batches, &mut answers).await?;
        let mut results = Vec::with_capacity(known.len());
        for (((id, key), answer), event) in known.into_iter().zip(answers).zip(events) {
            let mut answer = answer.ok_or_else(unanswered)?;
            if let Some(id) = elsewhere(&answer) {
                self.find_again(id).await?;
                answer = self.ingest_again(context, event, place).await?;
            }
            let outcome = match outcome_of(&answer) {
                Some(outcome) => outcome,
                None => self.bury(context, event.as_ref(), id.as_deref().zip(key), &answer).await?,
            };
            results.push(EventResult { id, outcome });
        }
        Ok(results)
    }

    /// Submits an event once more, to where its account is now.
    async fn ingest_again<E: AsRef<[u8]>>(
        &self,
        context: &Arc<Context>,
        event: &E,
        place: &(impl Fn(&E) -> Option<Place> + Sync),
    ) -> Result<Answer, BankError> {
        let mut patience = Patience::new();
        loop {
            let mut prepared = self.prepare(std::slice::from_ref(event), place).await?.pop().ok_or_else(unanswered)?;
            if let Some(customer) = self.customer_elsewhere(&prepared)
                && self.user(customer).await?.is_none()
            {
                reject_customer(&mut prepared.request.command);
            }
            let Prepared { shard, request, .. } = prepared;
            if let Some(answer) = self.submit_at(context, shard, request, false, &mut patience).await? {
                return Ok(answer);
            }
        }
    }

    async fn collect(
        &self,
        context: &Arc<Context>,
        batches: Vec<ShardBatch>,
        answers: &mut [Option<Answer>],
    ) -> Result<(), Fault> {
        for (index, answer) in submit_batches(&self.shards, context, batches, false).await {
            answers[index] = Some(answer?);
        }
        Ok(())
    }

    /// The customer of an account to be opened, if another shard knows the customer.
    fn customer_elsewhere(&self, event: &Prepared) -> Option<CustomerId> {
        let Command::Ingest(ingest) = &event.request.command else { return None };
        let Command::OpenAccount(open) = &ingest.command else { return None };
        let is_elsewhere = self.shard_of_user(open.customer) != event.shard || !self.placement().is_as_dealt();
        is_elsewhere.then_some(open.customer)
    }

    /// An event that made the rule book fail left its key with that rejection and nothing else. It becomes a dead letter
    /// like every event that took no effect, once.
    async fn bury(
        &self,
        context: &Arc<Context>,
        event: &[u8],
        key: Option<(&str, (Box<str>, Scope))>,
        answer: &Answer,
    ) -> Result<EventOutcome, BankError> {
        let scope = key.as_ref().map(|(_, (_, scope))| *scope);
        let key = key.map(|(id, (source, scope))| {
            let digest = self.digests.key(Namespace::Poison(&source), scope, id.as_bytes());
            Key { digest, fingerprint: EVENT_FINGERPRINT }
        });
        let payload = self.payload(&self.payload_sealer(1).await?, event);
        let mut patience = Patience::new();
        let buried = loop {
            let command = dead_letter(&rejected(&Rejection::InvariantBroken), payload.clone());
            let (shard, command) = self.letter_at_home(command, scope);
            let request = Request { key, command };
            if let Some(answer) = self.submit_at(context, shard, request, false, &mut patience).await? {
                break answer;
            }
        };
        let outcome = outcome_of(&buried).ok_or_else(unanswered)?;
        Ok(if matches!(answer, Answer::Replayed(_)) { EventOutcome::Replayed { transfer: None } } else { outcome })
    }

    /// A dead letter names nothing that could say that it is on the wrong shard. So its shard is told whose slot it goes by.
    fn letter_at_home(&self, command: Command, scope: Option<Scope>) -> (ShardId, Command) {
        let id = match scope {
            Some(Scope::Account(id)) => id.number(),
            Some(Scope::User(id)) => id.number(),
            _ => return (ShardId::default(), command),
        };
        let slot = slot(id);
        (self.placement().owner(slot), Command::AtHome(Box::new(AtHome { slot, command })))
    }

    fn shard_of_scope(&self, scope: Scope) -> ShardId {
        match scope {
            Scope::Account(id) => self.shard_of_account(id),
            Scope::User(id) => self.shard_of_user(id),
            _ => ShardId::default(),
        }
    }
}

/// How many events belong to the next part.
fn part_length<E: AsRef<[u8]>>(events: &[E]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&E| {
        bytes += event.as_ref().len();
        bytes <= PART_BYTES_MAX
    };
    // The first fits always, however long it is: only its beginning is kept.
    events.iter().take(EVENTS_PER_PAYLOAD_KEY).take_while(fits).count().max(1).min(events.len())
}

fn terms(movement: event::Movement) -> Terms {
    Terms {
        currency: movement.currency,
        amount: LegAmount::Exactly(movement.amount),
        forced: false,
        effective_at: movement.effective_at,
        note: movement.note,
    }
}

pub(crate) fn too_large() -> Failure {
    Failure::new("body_too_large", "the event is longer than 64 KiB; its beginning was kept")
}

fn rejected(rejection: &Rejection) -> Failure {
    Failure::new(rejection.code(), rejection.to_string())
}

fn dead_letter(failure: &Failure, payload: Sealed) -> Command {
    let (code, detail) = (failure.code.into(), failure.detail.as_str().into());
    Command::RecordDeadLetter(Box::new(RecordDeadLetter { code, detail, payload }))
}

/// Makes an opening what its shard rejects because there is no such customer.
fn reject_customer(command: &mut Command) {
    if let Command::Ingest(ingest) = command
        && let Command::OpenAccount(open) = &ingest.command
    {
        ingest.command = unknown_customer(open);
    }
}

/// What became of an event; `None` if it made the rule book fail.
fn outcome_of(answer: &Answer) -> Option<EventOutcome> {
    let outcome = match answer {
        Answer::Recorded(entry) | Answer::Replayed(entry) => &entry.outcome,
        Answer::Unrecorded(outcome) => outcome,
        Answer::KeyReused => return Some(EventOutcome::Replayed { transfer: None }),
    };
    let Outcome::Event(event) = outcome else { return None };
    let transfer = transfers_of(outcome).first().map(|transferred| transferred.id);
    Some(match (answer, event) {
        (Answer::Replayed(_), _) => EventOutcome::Replayed { transfer },
        (_, Event::DeadLetterChanged(changed)) => {
            EventOutcome::DeadLettered { dead_letter: changed.dead_letter.id, code: changed.dead_letter.code.clone() }
        }
        _ => EventOutcome::Accepted { transfer },
    })
}

fn unanswered() -> Fault {
    Fault::Unavailable { reason: "the store left an event without an answer".to_string() }
}

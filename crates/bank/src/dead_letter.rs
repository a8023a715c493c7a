//! The operator's queue: what failed for good, until a person redrives or discards it.
//!
//! Redriving moves money at most once, whatever is interrupted and however often it is asked:
//!
//! 1. `BeginRedrive` records attempt n with its data, before it is made. While an attempt is open none other begins.
//! 2. The attempt is submitted under the key (dead letter, n), so that it is decided once.
//! 3. `FinishRedrive` records how it ended, under a key of its own. Only then can attempt n + 1 begin.
//!
//! Whoever finds an attempt open carries it on from step 2 with the data that step 1 recorded.

use crate::digest::{EVENT_FINGERPRINT, Namespace, Scope};
use crate::error::BankError;
use crate::event::{self, Failure, Said};
use crate::ingest::{BEGINNING, EVENT_BYTES_MAX, WHOLE, too_large};
use crate::moving::Patience;
use crate::read::{Merged, PAGE_BYTES_MAX, Positions};
use crate::sealing::{EVENT_PURPOSE, Sealer};
use crate::submit::{ClientKey, allow};
use crate::{Bank, Caller};
use ledger::command::{BeginRedrive, Between, Command, DiscardDeadLetter, FinishRedrive};
use ledger::customer::Sealed;
use ledger::dead_letter::{DeadLetter, DeadLetterStatus};
use ledger::event::{Event, Key, Outcome};
use ledger::ids::DeadLetterId;
use ledger::token::Role;
use serde_json::value::{RawValue, to_raw_value};
use store::query::{EntryQuery, PageQuery};
use store::{Answer, EntryRef, Fault, Request};

/// What an entry keeps of an event, sealed: that of a dead letter made or redriven, or of a saga that failed.
fn payload_in(entry: &EntryRef) -> Option<&Sealed> {
    let Outcome::Event(event) = &entry.outcome else { return None };
    match event {
        Event::DeadLetterChanged(changed) => changed.payload.as_ref(),
        Event::Saga(step) => step.dead_letter.as_ref()?.payload.as_ref(),
        _ => None,
    }
}

/// Most bytes of the reason for discarding.
pub const REASON_BYTES_MAX: usize = 512;

/// A dead letter with what it is about.
#[derive(Clone, Debug)]
pub struct LetterView {
    /// The dead letter.
    pub letter: DeadLetter,
    /// The event as the latest attempt sent it, as JSON (a JSON string of the text if it was no JSON); `None` if it can
    /// no longer be read.
    pub event: Option<Box<RawValue>>,
}

/// What a payload holds.
enum Content {
    /// The whole event.
    Whole(Vec<u8>),
    /// The beginning of an event that was too long.
    Beginning(Vec<u8>),
    /// Nothing that can still be read.
    Erased,
}

impl Bank {
    /// A dead letter; `None` if there is no such one.
    ///
    /// # Errors
    /// A fault of the shard or the keyring.
    pub async fn dead_letter(&self, id: DeadLetterId) -> Result<Option<LetterView>, Fault> {
        let Some((letter, _, latest)) = self.store(self.shard_of_generated(id.number())).dead_letter(id).await? else {
            return Ok(None);
        };
        let event = self.event_in(&latest).await?;
        Ok(Some(LetterView { letter, event }))
    }

    /// Dead letters of all shards, newest first; fewer than the limit once their events have more than 4 MiB.
    ///
    /// # Errors
    /// A fault of any shard or the keyring.
    pub async fn dead_letters(
        &self,
        status: Option<DeadLetterStatus>,
        limit: usize,
        from: Option<&Positions>,
    ) -> Result<Merged<LetterView>, Fault> {
        let received = |letter: &DeadLetter| letter.received_at.microseconds();
        let mut limit = limit;
        loop {
            let fetched = self
                .merged(limit, from, |store, page| store.dead_letters(PageQuery { status, ..page }), received)
                .await?;
            let items = self.view_letters(&fetched.items).await?;
            if items.len() == fetched.items.len() {
                return Ok(Merged { items, next: fetched.next });
            }
            // Asked for anew, so that the end of the page and where the next one starts belong together.
            limit = items.len();
        }
    }

    /// The first of these, at least one, that are not too much for a page.
    async fn view_letters(&self, letters: &[DeadLetter]) -> Result<Vec<LetterView>, Fault> {
        let mut items = Vec::new();
        let mut bytes = 0;
        for letter in letters {
            if PAGE_BYTES_MAX < bytes {
                break;
            }
            let view = self.view_letter(letter).await?;
            bytes += view.event.as_ref().map_or(0, |event| event.get().len());
            items.push(view);
        }
        Ok(items)
    }

    /// A dead letter as an answer tells it, with its event.
    ///
    /// # Errors
    /// A fault of the shard or the keyring.
    pub async fn view_letter(&self, letter: &DeadLetter) -> Result<LetterView, Fault> {
        let query = EntryQuery { after: letter.data_from.saturating_sub(1), limit: 1 };
        let entries = self.store(self.shard_of_generated(letter.id.number())).entries(query).await?;
        let event = match entries.first() {
            Some(entry) => self.event_in(entry).await?,
            None => None,
        };
        Ok(LetterView { letter: letter.clone(), event })
    }

    /// Submits a dead letter anew, as its next attempt, with other data if there is any. An attempt that was begun and
    /// not ended is carried on with the data it was begun with. The answer is `DeadLetterChanged`, whatever became of
    /// the attempt, or a rejection. Needs the role teller.
    ///
    /// # Errors
    /// As [`Bank::submit`]; `malformed` or `body_too_large` if the data cannot take the place of what was sent. After a
    /// fault the attempt may be open: redrive again.
    pub async fn redrive(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: DeadLetterId,
        data: Option<&RawValue>,
    ) -> Result<Answer, BankError> {
        allow(caller, Role::Teller)?;
        let payload = match data {
            Some(data) => self.payload_with(id, data).await?,
            None => None,
        };
        let begin = Command::BeginRedrive(Box::new(BeginRedrive { dead_letter: id, payload }));
        let begun = self.submit(caller, key, begin, false).await?;
        let Some(letter) = letter_of(&begun).filter(|letter| letter.attempt_is_open) else { return Ok(begun) };
        let ended = self.carry_out(caller, id, letter.attempts).await?;
        // Whether this is the first answer is a matter of the client's key alone.
        Ok(match (&begun, ended) {
            (Answer::Replayed(_), Answer::Recorded(entry)) => Answer::Replayed(entry),
            (Answer::Recorded(_), Answer::Replayed(entry)) => Answer::Recorded(entry),
            (_, ended) => ended,
        })
    }

    /// Decides that a dead letter shall never take effect. Needs the role admin.
    ///
    /// # Errors
    /// As [`Bank::submit`]; `malformed` for a reason that is empty or longer than [`REASON_BYTES_MAX`].
    pub async fn discard(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        id: DeadLetterId,
        reason: &str,
    ) -> Result<Answer, BankError> {
        allow(caller, Role::Admin)?;
        if reason.trim().is_empty() || REASON_BYTES_MAX < reason.len() {
            let detail = format!("`reason` must be 1 to {REASON_BYTES_MAX} bytes");
            return Err(BankError::Malformed { code: "malformed", detail });
        }
        let discard = DiscardDeadLetter { dead_letter: id, reason: reason.into() };
        self.submit(caller, key, Command::DiscardDeadLetter(Box::new(discard)), false).await
    }

    /// Makes an attempt that was begun, and records how it ended.
    async fn carry_out(&self, caller: &Caller, id: DeadLetterId, attempt: u32) -> Result<Answer, BankError> {
        let shard = self.shard_of_generated(id.number());
        let failure = match self.store(shard).dead_letter(id).await? {
            Some((now, _, latest)) if now.attempt_is_open && now.attempts == attempt => {
                self.attempt(caller, id, attempt, &latest).await?
            }
            // Somebody else ended it: the key below leads to how.
            _ => None,
        };
        let failure = failure.map(|failure| (failure.0.into(), failure.1.into()));
        let finish = FinishRedrive { dead_letter: id, attempt, failure };
        let digest = self.digests.key(Namespace::AttemptEnd(attempt), Scope::DeadLetter(id), b"");
        let key = Some(Key { digest, fingerprint: EVENT_FINGERPRINT });
        let request = Request { key, command: Command::FinishRedrive(Box::new(finish)) };
        self.submit_one(caller.context(), shard, request, false).await
    }

    /// Submits an attempt. Code and text of why it took no effect; `None` if it did.
    async fn attempt(
        &self,
        caller: &Caller,
        id: DeadLetterId,
        attempt: u32,
        data: &EntryRef,
    ) -> Result<Option<(&'static str, String)>, BankError> {
        let said = match self.content_of(data).await? {
            Content::Whole(event) => event::read(&event, self.now().day()).said,
            Content::Beginning(_) => Err(too_large()),
            Content::Erased => Err(Failure::new("malformed", "what was sent was erased and can no longer be read")),
        };
        let sealer = match &said {
            Ok(Said::Register { id, .. }) if self.needs_sealing(Some(*id)).await? => {
                let (id, key) = self.fresh_key().await?;
                Some(Sealer::new(id, &key))
            }
            _ => None,
        };
        let digest = self.digests.key(Namespace::Attempt(attempt), Scope::DeadLetter(id), b"");
        let key = Some(Key { digest, fingerprint: EVENT_FINGERPRINT });
        let mut patience = Patience::new();
        let answer = loop {
            let (shard, command) = match said.clone().and_then(|said| self.command_of(said, sealer.as_ref())) {
                Ok(command) => command,
                Err(failure) => return Ok(Some((failure.code, failure.detail))),
            };
            let command = match self.with_known_customer(command, shard).await? {
                // It may fail after it began, when this attempt has long been told as made: then it is a new dead letter.
                Command::Between(between) => {
                    Command::Between(Box::new(Between { payload: payload_in(data).cloned(), ..*between }))
                }
                command => command,
            };
            let request = Request { key, command };
            if let Some(answer) = self.submit_at(&caller.context(), shard, request, false, &mut patience).await? {
                break answer;
            }
        };
        Ok(match answer.outcome() {
            Some(Outcome::Rejection { rejection, .. }) => Some((rejection.code(), rejection.to_string())),
            Some(Outcome::Event(_)) | None => None,
        })
    }

    /// What was sent, with other data in it, sealed; `None` if there is no such dead letter.
    async fn payload_with(&self, id: DeadLetterId, data: &RawValue) -> Result<Option<Sealed>, BankError> {
        let Some((_, first, _)) = self.store(self.shard_of_generated(id.number())).dead_letter(id).await? else {
            return Ok(None);
        };
        let replaced = match self.content_of(&first).await? {
            Content::Whole(event) => event::with_data(&event, data),
            Content::Beginning(_) | Content::Erased => None,
        };
        let Some(event) = replaced else {
            let detail =
                "what was sent is no event that `data` could be put into; send a new event instead".to_string();
            return Err(BankError::Malformed { code: "malformed", detail });
        };
        if EVENT_BYTES_MAX < event.len() {
            let detail = "with this `data` the event is longer than 64 KiB".to_string();
            return Err(BankError::Malformed { code: "body_too_large", detail });
        }
        Ok(Some(self.payload(&self.payload_sealer(1).await?, &event)))
    }

    async fn event_in(&self, entry: &EntryRef) -> Result<Option<Box<RawValue>>, Fault> {
        Ok(match self.content_of(entry).await? {
            Content::Whole(event) | Content::Beginning(event) => Some(as_json(&event)),
            Content::Erased => None,
        })
    }

    async fn content_of(&self, entry: &EntryRef) -> Result<Content, Fault> {
        let Some(payload) = payload_in(entry) else { return Ok(Content::Erased) };
        let Some(mut content) = self.open_sealed(payload, EVENT_PURPOSE).await? else { return Ok(Content::Erased) };
        let form = content.first().copied();
        content.drain(..content.len().min(1));
        match form {
            Some(WHOLE) => Ok(Content::Whole(content)),
            Some(BEGINNING) => Ok(Content::Beginning(content)),
            Some(_) | None => Err(Fault::Corrupt { detail: format!("the payload in entry {}", entry.header.sequence) }),
        }
    }
}

/// The dead letter that an answer is about.
fn letter_of(answer: &Answer) -> Option<&DeadLetter> {
    match answer.outcome()? {
        Outcome::Event(Event::DeadLetterChanged(changed)) => Some(&changed.dead_letter),
        Outcome::Event(_) | Outcome::Rejection { .. } => None,
    }
}

/// A text as JSON: itself if it is JSON, else a JSON string of it.
fn as_json(text: &[u8]) -> Box<RawValue> {
    let parsed: Option<&RawValue> = serde_json::from_slice(text).ok();
    let quoted = || to_raw_value(&String::from_utf8_lossy(text)).expect("every text can be a JSON string");
    parsed.map_or_else(quoted, RawValue::to_owned)
}

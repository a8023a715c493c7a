//! The one door: every command goes through here, whoever asks and whatever the way in.
//!
//! May the caller ask this? Which shard decides it, and to what does its key belong? Then it is submitted, and the
//! answer waits until it is durable. A rejection is an answer; only what is no answer is an error.

use crate::digest::{Fingerprints, KeyDigests, Namespace, Scope};
use crate::error::BankError;
use crate::moving::{Patience, elsewhere};
use crate::{Bank, Caller};
use futures_util::future::join_all;
use ledger::account::SystemAccount;
use ledger::command::{AtHome, Command, OpenAccount, UpdateCustomer};
use ledger::event::{Context, Key};
use ledger::ids::{AccountId, HoldId, ShardId, TransferId, slot};
use ledger::rejection::Rejection;
use ledger::token::Role;
use ledger::transfer::{Transfer, TransferKind};
use std::sync::Arc;
use store::{Answer, EntryRef, Fault, Request, SUBMISSION_MAX, Store, Submission};

/// An idempotency key as the client sent it, and the fingerprint of what the client said with it.
#[derive(Clone, Copy, Debug)]
pub struct ClientKey<'a> {
    /// 1 to 255 visible ASCII characters; checked where it is parsed.
    pub text: &'a str,
    /// Made by [`Bank::fingerprint`].
    pub fingerprint: u128,
}

/// The answer to one item of a batch, or why there is none.
pub type ItemAnswer = Result<Answer, BankError>;

/// Where a command is decided, and to what its key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) shard: ShardId,
    pub(crate) scope: Scope,
    /// The slot that the deciding shard must own, where nothing that the command names says so.
    slot: Option<u16>,
}

impl Home {
    fn new(shard: ShardId, scope: Scope) -> Home {
        Home { shard, scope, slot: None }
    }
}

impl Bank {
    /// The fingerprint of what a client said: the operation, such as `POST /transfers`, the ids of its path, and the body
    /// in a form in which the order of JSON's fields and spaces makes no difference.
    pub fn fingerprint(&self, operation: &str, path: &[u64], canonical: &[u8]) -> u128 {
        self.digests.fingerprint(operation, path, canonical)
    }

    /// The fingerprints of many bodies of one operation, each the same as [`Bank::fingerprint`] gives.
    pub fn fingerprints_of(&self, operation: &str, path: &[u64]) -> Fingerprints {
        self.digests.fingerprints_of(operation, path)
    }

    /// Decides one command, an atomic batch among them. A dry run ignores the key.
    ///
    /// # Errors
    /// [`BankError::Forbidden`] if the caller's role does not allow it, [`BankError::NotAvailableYet`] if it moves all
    /// that is available on an account of another shard than the first's, [`BankError::Fault`] if machinery failed and
    /// the same should be sent again.
    pub async fn submit(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        command: Command,
        dry_run: bool,
    ) -> Result<Answer, BankError> {
        let key = key.filter(|_| !dry_run);
        if let [_only] = &self.shards[..] {
            let (shard, request) = self.request(caller, key, command).await?;
            return self.submit_one(caller.context(), shard, request, dry_run).await;
        }
        self.submit_patiently(caller, key, command, dry_run, &mut Patience::new()).await
    }

    async fn submit_patiently(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        command: Command,
        dry_run: bool,
        patience: &mut Patience,
    ) -> Result<Answer, BankError> {
        loop {
            let (shard, request) = self.request(caller, key, command.clone()).await?;
            match self.submit_at(&caller.context(), shard, request, dry_run, patience).await? {
                Some(answer) if dry_run => return self.dry_run_parts(&caller.context(), answer).await,
                Some(answer) => return Ok(answer),
                None => {}
            }
        }
    }

    /// Submits to the shard that should decide, after a look at where the key may have been used before. Nothing where that
    /// shard says that what is named is elsewhere: then this node knows better where it is, and the request is to be made
    /// anew. Every request whose home can move goes this way.
    pub(crate) async fn submit_at(
        &self,
        context: &Arc<Context>,
        shard: ShardId,
        request: Request,
        dry_run: bool,
        patience: &mut Patience,
    ) -> Result<Option<Answer>, BankError> {
        if let Some(answer) = self.answer_of_earlier_shard(&request, shard).await? {
            return Ok(Some(answer));
        }
        let answer = self.submit_one(context.clone(), shard, request, dry_run).await?;
        let Some(id) = elsewhere(&answer) else { return Ok(Some(answer)) };
        self.find_again(id).await?;
        patience.wait(self).await?;
        Ok(None)
    }

    /// Keys stay where they were written. So a key that a moved account may have used on an earlier shard is looked up
    /// there first; nothing is decided there for that account any more, so what is not found there never will be.
    pub(crate) async fn answer_of_earlier_shard(
        &self,
        request: &Request,
        shard: ShardId,
    ) -> Result<Option<Answer>, Fault> {
        let Some(key) = request.key.filter(|_| !self.placement().is_as_dealt()) else { return Ok(None) };
        for store in self.shards.iter().filter(|store| store.shard() != shard) {
            if let Some(entry) = store.entry_of_key(key.digest).await? {
                return Ok(Some(answer_of(entry, key)));
            }
        }
        Ok(None)
    }

    /// Moves money in several transfers, all or none.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn submit_atomic(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        transfers: Vec<Transfer>,
        dry_run: bool,
    ) -> Result<Answer, BankError> {
        self.submit(caller, key, Command::Batch(transfers.into()), dry_run).await
    }

    /// Decides many commands, each by itself; those of a shard in their order. The answers align with the items, index
    /// by index. When a shard fails, its items hear of the fault and the others their answers.
    pub async fn submit_batch(
        &self,
        caller: &Caller,
        items: Vec<(Option<ClientKey<'_>>, Command)>,
        dry_run: bool,
    ) -> Vec<ItemAnswer> {
        let mut batches = ShardBatch::per_shard(&self.shards);
        let keys = self.keys_of(caller);
        let mut answers: Vec<Option<ItemAnswer>> = Vec::new();
        answers.resize_with(items.len(), || None);
        // All of them together wait no longer than one would.
        let mut patience = Patience::new();
        if !self.placement().is_as_dealt() {
            // A moved account's keys are on several shards: each item is looked up by itself.
            for (answer, (key, command)) in answers.iter_mut().zip(items) {
                let key = key.filter(|_| !dry_run);
                *answer = Some(self.submit_patiently(caller, key, command, dry_run, &mut patience).await);
            }
            return answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unanswered().into()))).collect();
        }
        let again = if self.shards.len() == 1 { Vec::new() } else { items.clone() };
        for (index, (key, command)) in items.into_iter().enumerate() {
            let key = key.filter(|_| !dry_run);
            let request = match &command {
                // The usual case needs no look-up, so it does not become a future either.
                Command::Transfer(transfer) => {
                    let home = self.home_of_transfers(std::slice::from_ref(transfer));
                    check_role(caller, &command)
                        .and_then(|()| self.transfer_at(caller, command, home.shard))
                        .map(|command| request_at(&keys, key, command, home))
                }
                _ => self.request(caller, key, command).await,
            };
            match request {
                Ok((shard, request)) => batches[usize::from(shard.number())].push(index, request),
                Err(error) => answers[index] = Some(Err(error)),
            }
        }
        for (index, answer) in submit_batches(&self.shards, &caller.context(), batches, dry_run).await {
            answers[index] = Some(answer.map_err(BankError::from));
        }
        for (answer, (key, command)) in answers.iter_mut().zip(again) {
            if matches!(answer, Some(Ok(given)) if elsewhere(given).is_some()) {
                let key = key.filter(|_| !dry_run);
                *answer = Some(self.submit_patiently(caller, key, command, dry_run, &mut patience).await);
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(unanswered().into()))).collect()
    }

    /// Says no to a command, for what its shard cannot see: recorded under the key like every other no, so that a key that
    /// was used before hears what it heard then.
    pub(crate) async fn refuse(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        command: &Command,
        rejection: Rejection,
        dry_run: bool,
    ) -> Result<Answer, BankError> {
        let (key, mut patience) = (key.filter(|_| !dry_run), Patience::new());
        loop {
            let (shard, request) = self.request(caller, key, command.clone()).await?;
            let request = Request { command: Command::Refuse(Box::new(rejection)), ..request };
            if let Some(answer) = self.submit_at(&caller.context(), shard, request, dry_run, &mut patience).await? {
                return Ok(answer);
            }
        }
    }

    /// The key under which a command is decided, as the journal has it.
    pub(crate) async fn key_digest(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        command: &Command,
    ) -> Result<Option<Key>, BankError> {
        Ok(self.request(caller, key, command.clone()).await?.1.key)
    }

    /// The answer that was given under this key before, if any was: for what cannot be asked any more as it was then, whoever
    /// sends it again.
    ///
    /// # Errors
    /// As [`Bank::submit`].
    pub async fn answer_before(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        command: &Command,
    ) -> Result<Option<Answer>, BankError> {
        let Some(key) = self.key_digest(caller, key, command).await? else { return Ok(None) };
        Ok(self.entry_of_key(key.digest).await?.map(|entry| answer_of(entry, key)))
    }

    /// The entry that was decided under this key, on whatever shard.
    pub(crate) async fn entry_of_key(&self, digest: u128) -> Result<Option<EntryRef>, Fault> {
        for store in self.shards() {
            if let Some(entry) = store.entry_of_key(digest).await? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// A digest of a key that belongs to a caller and to nothing else.
    pub(crate) fn key_of(&self, caller: &Caller, text: &str) -> u128 {
        self.keys_of(caller).key(Scope::Text, text.as_bytes())
    }

    async fn request(
        &self,
        caller: &Caller,
        key: Option<ClientKey<'_>>,
        command: Command,
    ) -> Result<(ShardId, Request), BankError> {
        check_role(caller, &command)?;
        let home = self.home(caller, key, &command).await?;
        let command = self.with_known_customer(command, home.shard).await?;
        let command = match &command {
            Command::Transfer(_) => self.transfer_at(caller, command, home.shard)?,
            _ => self.between(self.dated(caller, command), home.shard).await?,
        };
        let command = match home.slot {
            Some(slot) if 1 < self.shards().len() => Command::AtHome(Box::new(AtHome { slot, command })),
            Some(_) | None => command,
        };
        Ok(request_at(&self.keys_of(caller), key, command, home))
    }

    /// Submits one request to a shard.
    pub(crate) async fn submit_one(
        &self,
        context: Arc<Context>,
        shard: ShardId,
        request: Request,
        dry_run: bool,
    ) -> Result<Answer, BankError> {
        let submission = Submission { context, requests: vec![request], dry_run };
        let mut answers = self.store(shard).submit(submission).await?;
        answers.pop().ok_or_else(|| unanswered().into())
    }

    fn keys_of(&self, caller: &Caller) -> KeyDigests {
        let namespace = if caller.is_bank() { Namespace::Bank } else { Namespace::Principal(&caller.principal) };
        self.digests.keys_in(namespace)
    }

    /// Where a command is decided and to what its key belongs.
    async fn home(&self, caller: &Caller, key: Option<ClientKey<'_>>, command: &Command) -> Result<Home, BankError> {
        match command {
            Command::Transfer(transfer) => Ok(self.home_of_transfers(std::slice::from_ref(transfer))),
            Command::Batch(transfers) => Ok(self.home_of_transfers(transfers)),
            Command::Exchange(exchange) => match exchange.captures {
                Some((hold, _)) => Ok(self.home_of_hold(hold).await?),
                None => Ok(self.home_of_transfers(std::slice::from_ref(&exchange.transfer))),
            },
            Command::Reverse(reverse) => Ok(self.home_of_reversed(reverse.transfer).await?),
            Command::PlaceHold(hold) => Ok(self.home_of_account(hold.from)),
            Command::CaptureHold(capture) => Ok(self.home_of_hold(capture.hold).await?),
            Command::CancelSaga(id) => Ok(Home::new(self.shard_of_generated(id.number()), Scope::Transfer(*id))),
            Command::VoidHold(hold) | Command::ExpireHold(hold) => Ok(self.home_of_hold(*hold).await?),
            Command::RegisterCustomer(register) => Ok(match register.id {
                Some(id) => Home::new(self.home_of_user(id).await?, Scope::User(id)),
                None => self.drawn_home(caller, key),
            }),
            Command::UpdateCustomer(update) => {
                Ok(Home::new(self.home_of_user(update.id).await?, Scope::User(update.id)))
            }
            Command::OpenAccount(open) => Ok(self.home_of_opening(open)),
            Command::ChangeTerms(change) => Ok(self.home_of_account(change.account)),
            Command::Freeze(freeze) => Ok(self.home_of_account(freeze.account)),
            Command::Unfreeze(account) | Command::Close(account) => Ok(self.home_of_account(*account)),
            Command::ChangeSlots(_) | Command::MoveAccount(_) => Ok(Home::new(ShardId::default(), Scope::Text)),
            Command::BeginRedrive(redrive) => Ok(self.home_of_letter(redrive.dead_letter)),
            Command::FinishRedrive(redrive) => Ok(self.home_of_letter(redrive.dead_letter)),
            Command::DiscardDeadLetter(discard) => Ok(self.home_of_letter(discard.dead_letter)),
            Command::RevokeToken(token) => Ok(Home::new(ShardId::default(), Scope::Token(*token))),
            Command::OpenSystemAccount(_)
            | Command::CreateToken(_)
            | Command::RecordDeadLetter(_)
            | Command::Between(_)
            | Command::Receive(_)
            | Command::Refuse(_)
            | Command::AtHome(_)
            | Command::Ingest(_) => Ok(Home::new(ShardId::default(), Scope::Text)),
        }
    }

    /// Of transfers the first account debited counts; for a deposit the one credited, and for interest that the bank pays:
    /// its own account is another one on each shard, and would make another key of an account that moved.
    pub(crate) fn home_of_transfers(&self, transfers: &[Transfer]) -> Home {
        let Some((first, leg)) = transfers.first().and_then(|first| Some((first, first.legs.first()?))) else {
            return Home::new(ShardId::default(), Scope::Text);
        };
        let is_paid_by_the_bank = SystemAccount::from_id(leg.from).is_some();
        let by_credit = match first.kind {
            TransferKind::Deposit => true,
            TransferKind::Interest => is_paid_by_the_bank,
            _ => false,
        };
        self.home_of_account(if by_credit { leg.to } else { leg.from })
    }

    fn home_of_account(&self, id: AccountId) -> Home {
        Home::new(self.shard_of_account(id), Scope::Account(id))
    }

    /// A hold is where its account is, whatever shard gave out its id.
    async fn home_of_hold(&self, id: HoldId) -> Result<Home, Fault> {
        let shard = self.shard_of_generated(id.number());
        match self.store(shard).hold(id, self.now()).await? {
            Some(hold) => Ok(Home::new(self.home_of(hold.from).await?, Scope::Account(hold.from))),
            None => Ok(Home::new(shard, Scope::Hold(id))),
        }
    }

    async fn home_of_reversed(&self, id: TransferId) -> Result<Home, Fault> {
        let shard = self.shard_of_generated(id.number());
        let original = self.store(shard).transfer(id).await?;
        let debited = original.and_then(|view| Some(view.transfer.transferred()?.postings.first()?.account));
        Ok(Home::new(shard, debited.map_or(Scope::Transfer(id), Scope::Account)))
    }

    fn home_of_opening(&self, open: &OpenAccount) -> Home {
        match open.id {
            Some(id) => self.home_of_account(id),
            None => Home {
                slot: Some(slot(open.customer.number())),
                ..Home::new(self.shard_of_user(open.customer), Scope::User(open.customer))
            },
        }
    }

    fn home_of_letter(&self, id: ledger::ids::DeadLetterId) -> Home {
        Home::new(self.shard_of_generated(id.number()), Scope::DeadLetter(id))
    }

    /// The home of something new whose id the bank chooses: that of its key, so that a retry finds it, else any.
    fn drawn_home(&self, caller: &Caller, key: Option<ClientKey<'_>>) -> Home {
        let mut low = [0; 8];
        match key {
            Some(key) => {
                low.copy_from_slice(&self.keys_of(caller).key(Scope::Text, key.text.as_bytes()).to_le_bytes()[..8])
            }
            None if self.shards.len() == 1 => {}
            None => self.env.fill(&mut low),
        }
        let slot = slot(u64::from_le_bytes(low));
        Home { slot: Some(slot), ..Home::new(self.placement().owner(slot), Scope::Text) }
    }

    /// An account's customer may live on another shard, whose rows the deciding shard cannot see. When there is no such
    /// customer, the command becomes one that the deciding shard rejects for that very reason, so that the rejection is
    /// recorded under the key like every other.
    pub(crate) async fn with_known_customer(&self, command: Command, decided_on: ShardId) -> Result<Command, Fault> {
        let Command::OpenAccount(open) = &command else { return Ok(command) };
        let shard = self.home_of_user(open.customer).await?;
        let is_checked_there = shard == decided_on && self.placement().is_as_dealt();
        if is_checked_there || self.store(shard).customer(open.customer).await?.is_some() {
            return Ok(command);
        }
        Ok(unknown_customer(open))
    }
}

fn request_at(keys: &KeyDigests, key: Option<ClientKey<'_>>, command: Command, home: Home) -> (ShardId, Request) {
    let key = key.map(|key| Key { digest: keys.key(home.scope, key.text.as_bytes()), fingerprint: key.fingerprint });
    (home.shard, Request { key, command })
}

/// What a request hears whose key an entry has.
fn answer_of(entry: EntryRef, key: Key) -> Answer {
    let is_same = entry.header.key.is_some_and(|known| known.fingerprint == key.fingerprint);
    if is_same { Answer::Replayed(entry) } else { Answer::KeyReused }
}

/// What a shard rejects because it has no such customer. Only for a customer of another shard.
pub(crate) fn unknown_customer(open: &OpenAccount) -> Command {
    Command::UpdateCustomer(Box::new(UpdateCustomer { id: open.customer, changes: Vec::new() }))
}

/// Requests for one shard, with their places among those of all shards.
#[derive(Default)]
pub(crate) struct ShardBatch {
    indexes: Vec<usize>,
    requests: Vec<Request>,
}

impl ShardBatch {
    /// Nothing yet for each shard.
    pub(crate) fn per_shard(shards: &[Arc<dyn Store>]) -> Vec<ShardBatch> {
        shards.iter().map(|_| ShardBatch::default()).collect()
    }

    pub(crate) fn push(&mut self, index: usize, request: Request) {
        self.indexes.push(index);
        self.requests.push(request);
    }
}

/// Submits to all shards at once; the answers come with their places.
pub(crate) async fn submit_batches(
    shards: &[Arc<dyn Store>],
    context: &Arc<Context>,
    batches: Vec<ShardBatch>,
    dry_run: bool,
) -> impl Iterator<Item = (usize, Result<Answer, Fault>)> {
    let submitted =
        shards.iter().zip(batches).filter(|(_, batch)| !batch.requests.is_empty()).map(|(store, batch)| async move {
            let answers = submit_in_parts(store.as_ref(), context, batch.requests, dry_run).await;
            batch.indexes.into_iter().zip(answers)
        });
    join_all(submitted).await.into_iter().flatten()
}

/// Submits requests in their order, as many at once as a submission may have. After a fault the rest is not tried.
async fn submit_in_parts(
    store: &dyn Store,
    context: &Arc<Context>,
    mut requests: Vec<Request>,
    dry_run: bool,
) -> Vec<Result<Answer, Fault>> {
    let mut answers = Vec::with_capacity(requests.len());
    while !requests.is_empty() {
        let rest = if SUBMISSION_MAX < requests.len() { requests.split_off(SUBMISSION_MAX) } else { Vec::new() };
        let count = requests.len();
        let submission = Submission { context: context.clone(), requests, dry_run };
        match store.submit(submission).await {
            Ok(part) => answers.extend(part.into_iter().map(Ok)),
            Err(fault) => {
                answers.resize_with(answers.len() + count + rest.len(), || Err(fault.clone()));
                return answers;
            }
        }
        requests = rest;
    }
    answers
}

/// A store that answers fewer requests than it was asked breaks its contract.
fn unanswered() -> Fault {
    Fault::Unavailable { reason: "the store gave fewer answers than it was asked for".to_string() }
}

/// The least role that may ask this.
fn least_role(command: &Command) -> Role {
    let admins = match command {
        Command::Transfer(transfer) => transfer.forced,
        Command::Batch(transfers) => transfers.iter().any(|transfer| transfer.forced),
        Command::Reverse(reverse) => reverse.forced,
        Command::OpenSystemAccount(_)
        | Command::CreateToken(_)
        | Command::RevokeToken(_)
        | Command::CancelSaga(_)
        | Command::ChangeSlots(_)
        | Command::MoveAccount(_)
        | Command::DiscardDeadLetter(_) => true,
        _ => false,
    };
    if admins { Role::Admin } else { Role::Teller }
}

fn check_role(caller: &Caller, command: &Command) -> Result<(), BankError> {
    allow(caller, least_role(command))
}

/// Whether the caller's role is at least this one.
///
/// # Errors
/// [`BankError::Forbidden`] if it is not.
pub(crate) fn allow(caller: &Caller, needs: Role) -> Result<(), BankError> {
    let allowed = match needs {
        Role::Admin => caller.role == Role::Admin,
        Role::Teller => caller.role != Role::Auditor,
        Role::Auditor => true,
    };
    if allowed { Ok(()) } else { Err(BankError::Forbidden { needs }) }
}

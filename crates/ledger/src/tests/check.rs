//! Runs a table: every row against the bank, every answer against what the row expects.
//!
//! Beside the commands of [`super::script`] a row may look at the books or move time:
//!
//! ```text
//! balance  A 70 held 30 available 40 version 2 revision 3 holds 1 today 30 month 30
//! status   A active|frozen_debit|frozen_full|closed
//! postings T1 A -70 30 v2, B +70 70 v1
//! stands   H1 held 20/30                // captured 20 of 30
//! reversed T1 R1
//! letter_is L1 waiting attempts 1 code insufficient_funds
//! clock    +10m                         // moves the time
//! day      2026-11-22                   // moves the booking day
//! ```

use crate::Decision;
use crate::account::{FreezeKind, Status};
use crate::command::Command;
use crate::event::{AccountChange, CustomerChange, DeadLetterChange, Event, HoldChange, Outcome};
use crate::ids::AccountId;
use crate::rejection::Rejection;
use crate::transfer::Side;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::bank::{Bank, empty_set, transfers_of};
use super::rows::Rows;
use super::script::{Names, moment, parse};

/// Runs a table on a new bank with a customer U, then replays its journal: the rows come out the same.
pub(super) fn check(table: &str) {
    let mut table_run = Run { bank: Bank::new(1), names: Names::default() };
    table_run.row("user U => registered");
    for line in table.lines() {
        let row = line.split("//").next().unwrap_or_default().trim();
        if row.is_empty() {
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| table_run.row(row)));
        if let Err(panic) = result {
            eprintln!("in the row: {row}");
            resume_unwind(panic);
        }
    }
    let mut replayed = empty_set(2);
    table_run.bank.journal.iter().for_each(|entry| crate::replay(&mut replayed, entry));
    assert_eq!(Rows::of(&replayed), Rows::of(&table_run.bank.set), "replaying the journal gives other rows");
}

struct Run {
    bank: Bank,
    names: Names,
}

impl Run {
    fn row(&mut self, row: &str) {
        let words: Vec<&str> = row.split_whitespace().collect();
        match words[0] {
            "clock" => self.bank.time = moment(self.bank.time, words[1]),
            "day" => self.bank.day = words[1].parse().expect("a day"),
            "balance" => self.balance(words[1], &words[2..]),
            "status" => self.status(words[1], words[2]),
            "postings" => self.postings(words[1], &words[2..].join(" ")),
            "stands" => self.stands(words[1], &words[2..].join(" ")),
            "reversed" => {
                let by = self.bank.set.reversal(self.names.transfer(words[1]));
                assert_eq!(by, Some(self.names.transfer(words[2])));
            }
            "letter_is" => self.letter_is(words[1], &words[2..].join(" ")),
            _ => self.command(row),
        }
    }

    fn command(&mut self, row: &str) {
        let (line, expected) = row.split_once("=>").expect("a row says what it expects: => transferred");
        // `account A 100` opens the account and pays 100 in, from cash and without overdraft.
        let (line, paid_in) = match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["account", name, number, ref rest @ ..] if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let currency = rest.iter().position(|word| *word == "in").map_or("EUR", |place| rest[place + 1]);
                (format!("account {name} {}", rest.join(" ")), Some(format!("deposit - {name} {number} in {currency}")))
            }
            _ => (line.to_owned(), None),
        };
        let asked = parse(&self.bank, &self.names, &line);
        let decision = self.bank.submit(asked.key, &asked.command);
        self.learn(&asked.name, &asked.command, &decision);
        let happened = self.describe(&decision);
        let expected: Vec<&str> = expected.split_whitespace().collect();
        let beginning: Vec<&str> = happened.split_whitespace().take(expected.len()).collect();
        assert_eq!(beginning, expected, "what happened: {happened}");
        if let Some(deposit) = paid_in {
            let asked = parse(&self.bank, &self.names, &deposit);
            let decision = self.bank.submit(None, &asked.command);
            assert_eq!(self.describe(&decision), "transferred");
        }
    }

    /// Remembers what was made under its name.
    fn learn(&mut self, name: &str, command: &Command, decision: &Decision) {
        let Decision::Recorded(outcome) = decision else { return };
        let names = &mut self.names;
        for (index, transferred) in transfers_of(outcome).iter().enumerate() {
            let name = if matches!(command, Command::Batch(_)) { format!("{name}.{index}") } else { name.to_owned() };
            names.transfers.insert(name, transferred.id);
        }
        let Outcome::Event(event) = outcome else { return };
        match event {
            Event::HoldChanged(changed) => drop(names.holds.insert(name.into(), changed.hold.id)),
            Event::AccountChanged(changed) => drop(names.accounts.insert(name.into(), changed.account.id)),
            Event::CustomerChanged(changed) => drop(names.customers.insert(name.into(), changed.customer.id)),
            Event::DeadLetterChanged(changed) => drop(names.dead_letters.insert(name.into(), changed.dead_letter.id)),
            Event::TokenChanged(token) => drop(names.tokens.insert(name.into(), token.id)),
            Event::Transferred(_) | Event::BatchTransferred(_) | Event::HoldCaptured(_) => {}
            Event::Saga(_) | Event::SlotsChanged(_) => {}
        }
    }

    fn describe(&self, decision: &Decision) -> String {
        match decision {
            Decision::Replayed(_) => "replayed".into(),
            Decision::KeyReused => "idempotency_key_reused".into(),
            Decision::Recorded(Outcome::Event(event)) | Decision::Unrecorded(Outcome::Event(event)) => {
                describe_event(event)
            }
            Decision::Recorded(Outcome::Rejection { index, rejection })
            | Decision::Unrecorded(Outcome::Rejection { index, rejection }) => {
                let place = if *index == 0 { String::new() } else { format!(" at {index}") };
                format!("{}{place} {}", rejection.code(), self.describe_rejection(rejection))
            }
        }
    }

    fn describe_rejection(&self, rejection: &Rejection) -> String {
        match rejection {
            Rejection::AccountNotFound(id)
            | Rejection::AccountNotEmpty(id)
            | Rejection::SameAccount(id)
            | Rejection::AccountClosed(id)
            | Rejection::AccountFrozen(id)
            | Rejection::BalanceOverflow(id) => self.name_of(*id),
            Rejection::CurrencyMismatch { account, currency } => format!("{} {currency}", self.name_of(*account)),
            Rejection::InsufficientFunds { account, available, .. } => {
                format!("{} {available}", self.name_of(*account))
            }
            Rejection::LimitExceeded { account, limit } => format!("{} {limit:?}", self.name_of(*account)),
            Rejection::HoldAmountExceeded { remaining, .. } => format!("{remaining:?}"),
            Rejection::AlreadyReversed { by, .. } => {
                if by.is_some() { "by another" } else { "it is a reversal" }.into()
            }
            _ => String::new(),
        }
    }

    fn name_of(&self, id: AccountId) -> String {
        let known = self.names.accounts.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone());
        let standard = ["cash", "cash:USD", "income", "expense", "suspense", "clearing"];
        known
            .or_else(|| standard.into_iter().find(|name| self.names.account(&self.bank, name) == id).map(Into::into))
            .unwrap_or_else(|| "nobody".into())
    }

    fn balance(&self, name: &str, expected: &[&str]) {
        let bank = &self.bank;
        let account = bank.set.account(self.names.account(bank, name)).expect("an account");
        assert_eq!(account.balance.to_string(), expected[0], "balance");
        for pair in expected[1..].chunks(2) {
            let (_, today, month) = account.debits.on(bank.day).parts();
            let figure = match pair[0] {
                "held" => i128::from(bank.set.held(account, bank.time)),
                "available" => bank.set.available(account, bank.time),
                "version" => i128::from(account.version),
                "revision" => i128::from(account.revision),
                "holds" => i128::from(account.holds_active),
                "today" => i128::try_from(today).expect("a debit"),
                "month" => i128::try_from(month).expect("a debit"),
                other => panic!("an account has no {other}"),
            };
            assert_eq!(figure.to_string(), pair[1], "{}", pair[0]);
        }
    }

    fn status(&self, name: &str, expected: &str) {
        let status = match self.bank.set.account(self.names.account(&self.bank, name)).expect("an account").status {
            Status::Active => "active",
            Status::Frozen(FreezeKind::Debit) => "frozen_debit",
            Status::Frozen(FreezeKind::Full) => "frozen_full",
            Status::Closed => "closed",
        };
        assert_eq!(status, expected);
    }

    fn postings(&self, name: &str, expected: &str) {
        let row = self.bank.transfer(self.names.transfer(name)).expect("a transfer");
        let written: Vec<String> = row
            .transferred
            .postings
            .iter()
            .map(|posting| {
                let sign = if posting.side == Side::Debit { "-" } else { "+" };
                let account = self.name_of(posting.account);
                format!("{account} {sign}{:?} {} v{}", posting.amount, posting.balance_after, posting.version)
            })
            .collect();
        assert_eq!(written.join(", "), expected);
    }

    fn stands(&self, name: &str, expected: &str) {
        let hold = self.bank.set.hold(self.names.hold(name)).expect("a hold").seen_at(self.bank.time);
        assert_eq!(format!("{} {:?}/{:?}", hold.status.name(), hold.captured, hold.amount), expected);
    }

    fn letter_is(&self, name: &str, expected: &str) {
        let letter = self.bank.set.dead_letters.get(self.names.dead_letter(name).number()).expect("a dead letter");
        assert_eq!(format!("{} attempts {} code {}", letter.status.name(), letter.attempts, letter.code), expected);
    }
}

fn describe_event(event: &Event) -> String {
    match event {
        Event::Transferred(_) | Event::BatchTransferred(_) => "transferred",
        Event::HoldCaptured(_) => "captured",
        Event::HoldChanged(changed) => match changed.change {
            HoldChange::Placed => "held",
            HoldChange::Voided => "voided",
            HoldChange::Expired => "expired",
            HoldChange::Nothing => "nothing",
        },
        Event::AccountChanged(changed) => match changed.change {
            AccountChange::Opened => "opened",
            AccountChange::TermsChanged => "changed",
            AccountChange::Frozen => "frozen",
            AccountChange::Unfrozen => "unfrozen",
            AccountChange::Closed => "closed",
            AccountChange::Nothing => "nothing",
        },
        Event::CustomerChanged(changed) => match changed.change {
            CustomerChange::Registered => "registered",
            CustomerChange::Updated(_) => "updated",
            CustomerChange::Nothing => "nothing",
        },
        Event::DeadLetterChanged(changed) => match changed.change {
            DeadLetterChange::Recorded => "dead_letter",
            DeadLetterChange::RedriveBegun => "begun",
            DeadLetterChange::RedriveFailed => "failed",
            DeadLetterChange::Redriven => "redriven",
            DeadLetterChange::Discarded => "discarded",
            DeadLetterChange::Nothing => "nothing",
        },
        Event::Saga(step) => step.kind.name(),
        Event::SlotsChanged(_) => "slots",
        Event::TokenChanged(token) => {
            if token.revoked {
                "revoked"
            } else {
                "created"
            }
        }
    }
    .into()
}

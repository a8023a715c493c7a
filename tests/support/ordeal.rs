//! A bank that is hurt again and again on the same data: clients move money until it is gone, and then everything they
//! heard must be there.

use super::bank::{Bank, Server};
use super::http::{Connection, Request};
use super::program::run;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const CLIENTS: u64 = 4;
const ACCOUNTS: usize = 6;

/// A transfer that a client heard of: its id, and what was asked.
#[derive(Clone, Debug)]
struct Acknowledged {
    id: String,
    body: Value,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ordeal {
    data: PathBuf,
    accounts: Vec<String>,
    acknowledged: BTreeMap<String, Acknowledged>,
    rounds: u64,
}

impl Ordeal {
    /// A new bank with a few accounts in this folder.
    pub(crate) fn begin(data: &Path) -> Ordeal {
        let bank = Bank::open_in(data);
        let accounts = (0..ACCOUNTS).map(|_| bank.new_account_with_overdraft("1000000.00")).collect();
        drop(bank);
        Ordeal { data: data.into(), accounts, acknowledged: BTreeMap::new(), rounds: 0 }
    }

    /// Puts a new bank in place of this one.
    pub(crate) fn begin_anew(&mut self) {
        std::fs::remove_dir_all(&self.data).expect("a folder to remove");
        let rounds = self.rounds;
        *self = Ordeal::begin(&self.data);
        self.rounds = rounds;
    }

    /// Transfers that a client heard of.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Starts the bank, checks it, and has it killed under load at an instant that no one can foresee.
    pub(crate) fn kill_under_load(&mut self) {
        let bank = Bank::open_in(&self.data);
        self.check(&bank);
        let answers_until_kill = 1 + mixed(self.rounds) % 200;
        self.load(bank.server(), &|server, answers| {
            if answers == answers_until_kill {
                server.signal("KILL");
            }
        });
    }

    /// Loads a bank that was started in another way until it no longer says yes.
    pub(crate) fn load_until_it_fails(&mut self, server: &Server, answered: &(dyn Fn(&Server, u64) + Sync)) {
        self.load(server, answered);
    }

    /// Starts the bank as users do, checks it, and has `florin verify` look at it.
    pub(crate) fn expect_whole(&self) {
        let bank = Bank::open_in(&self.data);
        self.check(&bank);
        let (code, _, _) = bank.stop();
        assert_eq!(code, Some(0));
        run(["verify", "--data", self.data.to_str().expect("a UTF-8 path")]).expect_code(0);
    }

    /// As `expect_whole`, straight after a crash: nothing was put in order before `florin verify` looks.
    pub(crate) fn expect_verified(&self) {
        run(["verify", "--data", self.data.to_str().expect("a UTF-8 path")]).expect_code(0);
    }

    /// Clients move money until an answer is not a yes, or none comes.
    fn load(&mut self, server: &Server, answered: &(dyn Fn(&Server, u64) + Sync)) {
        let answers = AtomicU64::new(0);
        let (round, accounts) = (self.rounds, &self.accounts);
        self.rounds += 1;
        let heard: Vec<BTreeMap<String, Acknowledged>> = std::thread::scope(|scope| {
            let client = |client: u64| {
                let mut heard = BTreeMap::new();
                let Ok(mut connection) = Connection::open(server.address) else { return heard };
                for number in 0..100_000 {
                    let key = format!("round-{round}-client-{client}-{number}");
                    let body = random_transfer(accounts, mixed(round << 32 | client << 20 | number));
                    let request = Request::post("/api/v1/transfers").key(&key).json(&body);
                    let Ok(answer) = connection.send(&request) else { break };
                    if answer.status != 201 {
                        assert!(matches!(answer.status, 500 | 503), "{}", answer.text());
                        break;
                    }
                    let id = answer.json()["transfer_id"].as_str().expect("an id").to_owned();
                    heard.insert(key, Acknowledged { id, body });
                    answered(server, answers.fetch_add(1, Ordering::Relaxed) + 1);
                }
                heard
            };
            let handles: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
            handles.into_iter().map(|handle| handle.join().expect("no client fails")).collect()
        });
        self.acknowledged.extend(heard.into_iter().flatten());
    }

    fn check(&self, bank: &Bank) {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for account in &self.accounts {
            let mut balance = 0;
            for (index, posting) in bank.postings(account).iter().rev().enumerate() {
                let amount = minor_units(&posting["amount"]);
                balance += if posting["side"] == "credit" { amount } else { -amount };
                assert_eq!(posting["version"], index + 1, "{posting}");
                assert_eq!(minor_units(&posting["balance_after"]), balance, "{posting}");
                *found.entry(posting["transfer_id"].as_str().expect("an id").to_owned()).or_default() += 1;
            }
            assert_eq!(bank.ledger(account).replace('.', "").parse::<i64>(), Ok(balance));
        }
        for (key, transfer) in &self.acknowledged {
            assert!(found.contains_key(&transfer.id), "{key}: {transfer:?} was acknowledged and is lost");
        }
        // Both sides of every leg: two postings of a transfer of one leg, four of one with two.
        assert!(found.values().all(|postings| matches!(postings, 2 | 4)), "{found:?}");
        bank.expect_sums_of_zero();
        if let Some((key, transfer)) = self.acknowledged.iter().next_back() {
            let again = bank.post_with_key("/api/v1/transfers", key, &transfer.body).expect(201);
            assert!(again.is_replayed());
            assert_eq!(again.json()["transfer_id"], transfer.id.as_str());
        }
    }
}

fn random_transfer(accounts: &[String], random: u64) -> Value {
    let count = accounts.len() as u64;
    let account = |number: u64| accounts[usize::try_from(number % count).expect("few accounts")].as_str();
    let from = random % count;
    let amount = |shift: u32| format!("0.{:02}", 1 + (random >> shift) % 99);
    let (one, other) = (account(from + 1), account(from + 2));
    if random & 0x100 == 0 {
        json!({"type": "transfer", "from": account(from), "to": one, "amount": amount(16), "currency": "EUR"})
    } else {
        let legs = json!([
            {"from": account(from), "to": one, "amount": amount(16)},
            {"from": one, "to": other, "amount": amount(24)},
        ]);
        json!({"type": "transfer", "currency": "EUR", "legs": legs})
    }
}

/// SplitMix64.
pub(crate) fn mixed(seed: u64) -> u64 {
    let mut number = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

fn minor_units(text: &Value) -> i64 {
    text.as_str().expect("a decimal").replace('.', "").parse().expect("digits")
}

//! What clients asked for and were told while something broke, and whether it is all there afterwards. One check for
//! every fault: each acknowledged request is found and has succeeded, each balance is to the cent what was acknowledged,
//! nothing is under way any more, the books of each shard are even, a retry is answered byte for byte as before, and
//! `florin verify` finds nothing wrong on any shard.

use super::cluster::{Client, Cluster};
use super::http::{Request, Response};
use super::ordeal::mixed;
use super::wait::wait_until;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// So many that they are not all on one shard.
pub(crate) const ACCOUNTS: u64 = 12;
/// Besides, so many in yen, whose ids follow.
const YEN_ACCOUNTS: u64 = 4;
const CLIENTS: usize = 4;
/// How many requests are answered before something breaks, at least, and after it.
const BEFORE: usize = 12;
const AFTER: usize = 40;

/// A request that was acknowledged.
struct Deed {
    request: Request,
    answer: Response,
    /// The transfer it made; a hold makes none.
    transfer: Option<String>,
    /// What it adds to which account.
    effects: Vec<(u64, i64)>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Book {
    deeds: Vec<Deed>,
    /// So many of them were looked at before.
    checked: usize,
    rounds: u64,
    /// How often a node that clients asked gave no answer, or none that was final.
    pub(crate) failures: usize,
}

impl Book {
    /// A customer with accounts on all shards, and a rate to exchange by.
    pub(crate) fn open(cluster: &Cluster) -> Book {
        let mut client = cluster.client(0);
        let user = json!({"user_id": "1", "name": "Customer"});
        client.insist(&Request::post("/api/v1/users").key("user").json(&user)).expect(201);
        for account in 1..=ACCOUNTS + YEN_ACCOUNTS {
            let currency = if account <= ACCOUNTS { "EUR" } else { "JPY" };
            let body = json!({
                "account_id": account.to_string(), "user_id": "1", "currency": currency, "type": "checking",
                "overdraft_limit": "1000000",
            });
            client.insist(&Request::post("/api/v1/accounts").key(&format!("open-{account}")).json(&body)).expect(201);
        }
        let rate = json!({"base": "EUR", "quote": "JPY", "mid": "163.777", "spread_bps": 50});
        client.insist(&Request::post("/api/v1/rates").json(&json!({"rates": [rate], "source": "test"}))).expect(200);
        Book::default()
    }

    /// Breaks something under load, again and again, and looks each time whether everything is there.
    pub(crate) fn survive(mut self, cluster: &Cluster, rounds: usize, strike: impl Fn(usize)) -> Book {
        for round in 0..rounds {
            self.load(cluster, || strike(round));
            self.expect_whole(cluster);
        }
        self.checked = 0;
        self.expect_whole(cluster);
        self
    }

    /// Clients move money while this happens, begin before it and go on after it.
    pub(crate) fn load(&mut self, cluster: &Cluster, happens: impl FnOnce()) {
        self.rounds += 1;
        let (answered, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (round, settled) = (self.rounds, self.reversible());
        let heard: Vec<(Vec<Deed>, usize)> = std::thread::scope(|scope| {
            let work = |number: usize| {
                let mut worker = Worker { client: cluster.client(number), deeds: Vec::new() };
                for turn in 0u64.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let name = format!("{round}-{number}-{turn}");
                    match settled.get(usize::try_from(turn).expect("few") * CLIENTS + number) {
                        Some((id, effects)) if turn < 2 => worker.reverse(&name, id, effects),
                        _ => worker.act(&name, mixed(round << 40 | (number as u64) << 32 | turn)),
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                (worker.deeds, worker.client.failures)
            };
            let over = SetAtEnd(&is_over);
            let workers: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || work(number))).collect();
            let so_many = |count| wait_until("clients are answered", || count <= answered.load(Ordering::SeqCst));
            so_many(BEFORE + usize::try_from(mixed(round) % 16).expect("few"));
            happens();
            so_many(answered.load(Ordering::SeqCst) + AFTER);
            drop(over);
            workers.into_iter().map(|worker| worker.join().expect("no client fails")).collect()
        });
        for (deeds, failures) in heard {
            self.deeds.extend(deeds);
            self.failures += failures;
        }
    }

    /// Asks every node for the same under the same key at the same moment, so many times.
    pub(crate) fn ask_all_at_once(&mut self, cluster: &Cluster, count: u64) {
        self.rounds += 1;
        let (round, barrier) = (self.rounds, Barrier::new(cluster.nodes()));
        let work = |node: usize| {
            let mut worker = Worker { client: cluster.client(node), deeds: Vec::new() };
            for turn in 0..count {
                barrier.wait();
                worker.act(&format!("{round}-{turn}"), mixed(round << 40 | turn));
                worker.client.stay_at(node);
            }
            worker.deeds
        };
        let mut heard: Vec<Vec<Deed>> = std::thread::scope(|scope| {
            let work = &work;
            let workers: Vec<_> = (0..cluster.nodes()).map(|node| scope.spawn(move || work(node))).collect();
            workers.into_iter().map(|worker| worker.join().expect("no client fails")).collect()
        });
        let first = heard.remove(0);
        for (place, deed) in first.iter().enumerate() {
            let same = heard.iter().map(|deeds| &deeds[place]).chain([deed]);
            assert!(same.clone().all(|other| other.answer.text() == deed.answer.text()), "{:?}", deed.request);
            let firsts = same.filter(|other| !other.answer.is_replayed()).count();
            assert_eq!(firsts, 1, "so often {:?} took effect", deed.request);
        }
        self.deeds.extend(first);
    }

    /// Transfers that have succeeded, and what reversing them does.
    fn reversible(&self) -> Vec<(String, Vec<(u64, i64)>)> {
        let of_last_round = self.deeds.iter().rev().filter(|deed| deed.request.path() == "/api/v1/transfers");
        let undone = |deed: &Deed| {
            let effects = deed.effects.iter().map(|(account, cents)| (*account, -cents)).collect();
            Some((deed.transfer.clone()?, effects))
        };
        of_last_round.filter_map(undone).take(2 * CLIENTS).collect()
    }

    /// Everything that was acknowledged since this was last asked is there.
    #[track_caller]
    pub(crate) fn expect_whole(&mut self, cluster: &Cluster) {
        let mut client = cluster.client(usize::try_from(self.rounds).expect("few"));
        wait_until("no transfer is under way", || {
            let found = client.insist(&Request::get("/api/v1/transfers?status=pending")).expect(200).json();
            found["items"].as_array().expect("items").is_empty()
        });
        self.expect_answers(&mut client);
        self.expect_balances(&mut client);
        self.expect_ids_of_their_own();
        cluster.run(&["verify"]).expect_code(0);
        self.checked = self.deeds.len();
    }

    /// Each transfer has succeeded, and each retry is answered as the request was.
    fn expect_answers(&self, client: &mut Client<'_>) {
        for deed in &self.deeds[self.checked..] {
            if let Some(id) = &deed.transfer {
                let found = client.insist(&Request::get(&format!("/api/v1/transfers/{id}"))).expect(200).json();
                assert_eq!(found["status"], "succeeded", "{found}");
            }
            client.go_on();
            let again = client.insist(&deed.request);
            assert!(again.is_replayed(), "{:?}: {}", deed.request, again.text());
            assert_eq!((again.status, again.text()), (deed.answer.status, deed.answer.text()), "{:?}", deed.request);
        }
    }

    /// No id was given out twice.
    fn expect_ids_of_their_own(&self) {
        let ids: Vec<&String> = self.deeds.iter().filter_map(|deed| deed.transfer.as_ref()).collect();
        let different: BTreeSet<&String> = ids.iter().copied().collect();
        assert_eq!(different.len(), ids.len(), "{ids:?}");
    }

    fn expect_balances(&self, client: &mut Client<'_>) {
        let mut cents: BTreeMap<u64, i64> = (1..=ACCOUNTS + YEN_ACCOUNTS).map(|account| (account, 0)).collect();
        for (account, change) in self.deeds.iter().flat_map(|deed| &deed.effects) {
            *cents.entry(*account).or_default() += change;
        }
        for (account, cents) in cents {
            let found = client.insist(&Request::get(&format!("/api/v1/accounts/{account}"))).expect(200).json();
            let ledger = found["balance"]["ledger"].as_str().expect("a balance");
            assert_eq!(ledger.replace('.', "").parse(), Ok(cents), "account {account}: {found}");
            let held = found["balance"]["held"].as_str().expect("an amount");
            assert_eq!(held.replace('.', "").parse(), Ok(0), "account {account}: {found}");
        }
        let balances = client.insist(&Request::get("/api/v1/system/balances")).expect(200).json();
        for row in balances["items"].as_array().expect("items") {
            let total = row["total"].as_str().expect("a total");
            assert!(total.bytes().all(|byte| matches!(byte, b'0' | b'.')), "{balances}");
        }
    }
}

/// One client, and what it was told.
struct Worker<'a> {
    client: Client<'a>,
    deeds: Vec<Deed>,
}

impl Worker<'_> {
    /// Asks for one thing or another.
    fn act(&mut self, name: &str, random: u64) {
        let account = |shift: u32| 1 + (random >> shift) % ACCOUNTS;
        let cents = i64::try_from(1 + (random >> 40) % 99).expect("few");
        let (from, to) = (account(8), account(16));
        let to = if to == from { 1 + from % ACCOUNTS } else { to };
        let third = 1 + to % ACCOUNTS;
        let body = |kind: &str, fields: Value| {
            let mut body = json!({"type": kind, "currency": "EUR"});
            let fields = fields.as_object().cloned().unwrap_or_default();
            body.as_object_mut().expect("an object").extend(fields);
            body
        };
        let (from_text, to_text, third_text) = (from.to_string(), to.to_string(), third.to_string());
        let (amount, half) = (euros(cents), euros(1));
        match random % 8 {
            0 => {
                let fields = json!({"to": to_text, "amount": amount});
                self.transfer(name, &body("deposit", fields), vec![(to, cents)]);
            }
            1 => {
                let fields = json!({"from": from_text, "amount": amount});
                self.transfer(name, &body("withdrawal", fields), vec![(from, -cents)]);
            }
            2 => {
                let legs = json!([
                    {"from": from_text, "to": to_text, "amount": amount},
                    {"from": to_text, "to": third_text, "amount": half},
                ]);
                let effects = vec![(from, -cents), (to, cents - 1), (third, 1)];
                self.transfer(name, &body("transfer", json!({ "legs": legs })), effects);
            }
            3 => self.capture(name, from, to, cents),
            4 => self.exchange(name, from, 1 + ACCOUNTS + to % YEN_ACCOUNTS, cents),
            _ => {
                let fields = json!({"from": from_text, "to": to_text, "amount": amount});
                self.transfer(name, &body("transfer", fields), vec![(from, -cents), (to, cents)]);
            }
        }
    }

    fn transfer(&mut self, name: &str, body: &Value, effects: Vec<(u64, i64)>) {
        self.ask(Request::post("/api/v1/transfers").key(name).json(body), effects);
    }

    /// A hold, and its capture to the other account.
    fn capture(&mut self, name: &str, from: u64, to: u64, cents: i64) {
        let hold =
            json!({"from": from.to_string(), "to": to.to_string(), "amount": euros(cents + 5), "currency": "EUR"});
        let held = self.ask(Request::post("/api/v1/holds").key(&format!("{name}-hold")).json(&hold), Vec::new());
        let id = held["hold_id"].as_str().expect("an id").to_owned();
        let capture = Request::post(&format!("/api/v1/holds/{id}/capture")).key(name);
        self.ask(capture.json(&json!({"amount": euros(cents)})), vec![(from, -cents), (to, cents)]);
    }

    /// A quote, and an exchange by it.
    fn exchange(&mut self, name: &str, from: u64, to: u64, cents: i64) {
        let asked = json!({"sell": "EUR", "sell_amount": euros(cents), "buy": "JPY"});
        let quote = self.client.insist(&Request::post("/api/v1/quotes").key(&format!("{name}-quote")).json(&asked));
        let quote = quote.expect(201).json();
        let bought = quote["buy_amount"].as_str().and_then(|yen| yen.parse().ok()).expect("whole yen");
        let (from_text, to_text) = (from.to_string(), to.to_string());
        let body = json!({"type": "exchange", "from": from_text, "to": to_text, "quote_id": quote["quote_id"]});
        self.transfer(name, &body, vec![(from, -cents), (to, bought)]);
    }

    fn reverse(&mut self, name: &str, id: &str, effects: &[(u64, i64)]) {
        let path = format!("/api/v1/transfers/{id}/reverse");
        self.ask(Request::post(&path).key(name).json(&json!({})), effects.to_vec());
    }

    fn ask(&mut self, request: Request, effects: Vec<(u64, i64)>) -> Value {
        let answer = self.client.insist(&request);
        assert!(matches!(answer.status, 201 | 202), "{request:?}: {}", answer.text());
        let body = answer.json();
        let transfer = body["transfer_id"].as_str().map(str::to_owned);
        assert!(transfer.is_some() || effects.is_empty(), "{body}");
        self.deeds.push(Deed { request, answer, transfer, effects });
        self.client.go_on();
        body
    }
}

fn euros(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Ends the clients also when a test fails.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

//! Money between the shards of one bank: taken at once, on its way, and at its end in success or given back in full.

use crate::expectations::{Numbers, balances, in_parallel};
use crate::support::bank::{Bank, transfer};
use crate::support::http::{Connection, Request, Response};
use crate::support::program::run;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SHARDS: usize = 4;

/// A bank of four shards, and two accounts of 100.00 on each.
struct Sharded {
    bank: Bank,
    accounts: Vec<[String; 2]>,
}

impl Sharded {
    fn open() -> Sharded {
        let bank = Bank::open_with(&["--no-auth", "--shards", &SHARDS.to_string()]);
        let mut accounts: Vec<Vec<String>> = Vec::new();
        while accounts.len() < SHARDS || accounts.iter().any(|there| there.len() < 2) {
            let new = bank.new_account("100.00");
            let is_with = |there: &&mut Vec<String>| status_between(&bank, &there[0], &new) == 201;
            match accounts.iter_mut().find(is_with) {
                Some(there) => there.push(new),
                None => accounts.push(vec![new]),
            }
        }
        let accounts = accounts.into_iter().map(|mut there| [there.remove(0), there.remove(0)]).collect();
        Sharded { bank, accounts }
    }

    fn account(&self, shard: usize) -> &str {
        &self.accounts[shard][0]
    }

    fn all(&self) -> Vec<&str> {
        self.accounts.iter().flatten().map(String::as_str).collect()
    }

    /// Sums and every file are in order, with nothing under way.
    fn expect_in_order(self) {
        let Sharded { bank, .. } = self;
        assert_eq!(bank.all("/api/v1/transfers?status=pending"), [Value::Null; 0]);
        bank.expect_sums_of_zero();
        let (code, folder, temporary) = bank.stop();
        assert_eq!(code, Some(0));
        run(["verify", "--data", folder.to_str().expect("a UTF-8 path")]).expect_code(0);
        drop(temporary);
    }
}

/// What a transfer between two accounts would be answered with: 201 on one shard, 202 between two.
fn status_between(bank: &Bank, from: &str, to: &str) -> u16 {
    bank.send(Request::post("/api/v1/transfers?dry_run=true").json(&transfer(from, to, "1.00"))).status
}

fn id_of(answer: &Value) -> String {
    answer["transfer_id"].as_str().expect("an id").to_owned()
}

/// The transfer once it has ended.
#[track_caller]
fn ended(bank: &Bank, id: &str) -> Value {
    for _ in 0..200_000 {
        let now = bank.get(&format!("/api/v1/transfers/{id}")).expect(200).json();
        if now["status"] != "pending" {
            return now;
        }
    }
    panic!("transfer {id} stays pending");
}

#[track_caller]
fn expect_succeeded(bank: &Bank, accepted: Response) -> Value {
    let end = ended(bank, &id_of(&accepted.expect(202).json()));
    assert_eq!(end["status"], "succeeded", "{end}");
    end
}

#[track_caller]
fn expect_failed(bank: &Bank, accepted: Response, code: &str) -> Value {
    let end = ended(bank, &id_of(&accepted.expect(202).json()));
    assert_eq!((&end["status"], &end["failure"]["code"]), (&json!("failed"), &json!(code)), "{end}");
    assert!(end["failure"]["detail"].is_string(), "{end}");
    end
}

fn ledgers(bank: &Bank, accounts: &[&str]) -> Vec<String> {
    accounts.iter().map(|account| bank.ledger(account)).collect()
}

/// The sides on which a transfer's postings touch an account, in order.
fn sides(end: &Value, account: &str) -> Vec<String> {
    let postings = end["postings"].as_array().expect("postings");
    let own = postings.iter().filter(|posting| posting["account_id"] == account);
    own.map(|posting| posting["side"].as_str().expect("a side").to_owned()).collect()
}

#[test]
fn a_transfer_between_shards_is_accepted_with_its_place_and_then_succeeds() {
    let sharded = Sharded::open();
    let (bank, from, to) = (&sharded.bank, sharded.account(0), sharded.account(1));
    let body = transfer(from, to, "10.00");
    let accepted = bank.post_with_key("/api/v1/transfers", "one", &body).expect(202);
    let first = accepted.json();
    let id = id_of(&first);
    assert_eq!(accepted.header("location"), Some(format!("/api/v1/transfers/{id}").as_str()));
    assert_eq!((&first["status"], &first["amount"]), (&json!("pending"), &json!("10.00")));
    let end = ended(bank, &id);
    assert_eq!((&end["status"], &end["failure"]), (&json!("succeeded"), &Value::Null));
    assert_eq!((sides(&end, from), sides(&end, to)), (vec!["debit".to_owned()], vec!["credit".to_owned()]));
    assert_eq!(ledgers(bank, &[from, to]), ["90.00", "110.00"]);
    for account in [from, to] {
        let listed = bank.all(&format!("/api/v1/transfers?account_id={account}"));
        assert_eq!(listed.iter().filter(|row| row["transfer_id"] == id.as_str()).count(), 1);
        assert_eq!(bank.postings(account).len(), 2);
    }
    let again = bank.post_with_key("/api/v1/transfers", "one", &body);
    assert!(again.is_replayed());
    assert_eq!((again.status, again.text()), (202, accepted.text()), "the first answer, byte for byte");
    let other = transfer(from, to, "10.01");
    bank.post_with_key("/api/v1/transfers", "one", &other).expect_problem(422, "idempotency_key_reused");
    assert_eq!(ledgers(bank, &[from, to]), ["90.00", "110.00"]);
    sharded.expect_in_order();
}

#[test]
fn what_the_other_shard_refuses_is_given_back_with_the_reason() {
    let sharded = Sharded::open();
    let (bank, from) = (&sharded.bank, sharded.account(0));
    let (frozen, closed) = (sharded.account(1), sharded.account(2));
    bank.post(&format!("/api/v1/accounts/{frozen}/freeze"), &json!({"kind": "full"})).expect(200);
    bank.withdraw(closed, "100.00").expect(201);
    bank.post(&format!("/api/v1/accounts/{closed}/close"), &json!({})).expect(200);
    let before = balances(bank, &sharded.all());
    for (to, code, key) in [(frozen, "account_frozen", "f"), (closed, "account_closed", "c")] {
        let body = transfer(from, to, "10.00");
        let accepted = bank.post_with_key("/api/v1/transfers", key, &body);
        let text = accepted.text();
        let end = expect_failed(bank, accepted, code);
        assert_eq!(sides(&end, from), ["debit", "credit"]);
        assert!(sides(&end, to).is_empty());
        // The key of a transfer that failed is used up: it gives the first answer again and moves nothing.
        let again = bank.post_with_key("/api/v1/transfers", key, &body);
        assert_eq!((again.status, again.is_replayed(), again.text()), (202, true, text));
        let path = format!("/api/v1/transfers/{}/reverse", id_of(&end));
        bank.post(&path, &json!({})).expect_problem(409, "transfer_not_succeeded");
    }
    for (account, was) in sharded.all().iter().zip(&before) {
        let now = &bank.account(account)["balance"];
        for figure in ["ledger", "held", "available"] {
            assert_eq!(now[figure], was[figure], "{account}");
        }
    }
    sharded.expect_in_order();
}

#[test]
fn what_the_home_rejects_is_answered_at_once_and_for_good() {
    let sharded = Sharded::open();
    let (bank, from, to) = (&sharded.bank, sharded.account(0), sharded.account(1));
    let body = transfer(from, to, "100.01");
    bank.post_with_key("/api/v1/transfers", "too-much", &body).expect_problem(422, "insufficient_funds");
    bank.deposit(from, "1.00").expect(201);
    let again = bank.post_with_key("/api/v1/transfers", "too-much", &body);
    assert!(again.is_replayed());
    again.expect_problem(422, "insufficient_funds");
    assert_eq!(ledgers(bank, &[from, to]), ["101.00", "100.00"]);
    sharded.expect_in_order();
}

#[test]
fn cash_machines_pay_and_take_for_accounts_of_every_shard() {
    let sharded = Sharded::open();
    let bank = &sharded.bank;
    let machine = json!({"kind": "atm", "name": "Station", "currency": "EUR"});
    let machine = bank.post("/api/v1/system/accounts", &machine).expect(201).json();
    let contra = machine["account_id"].as_str().expect("an id");
    let mut crossed = 0;
    for shard in 0..SHARDS {
        let account = sharded.account(shard);
        let paid_in = json!({"type": "deposit", "to": account, "amount": "5.00", "currency": "EUR", "contra": contra});
        let paid_out =
            json!({"type": "withdrawal", "from": account, "amount": "2.00", "currency": "EUR", "contra": contra});
        for body in [paid_in, paid_out] {
            let answer = bank.post("/api/v1/transfers", &body);
            crossed += usize::from(answer.status == 202);
            assert!(matches!(answer.status, 201 | 202), "{}", answer.text());
            assert_eq!(ended(bank, &id_of(&answer.json()))["status"], "succeeded");
        }
        assert_eq!(bank.ledger(account), "103.00");
    }
    assert_eq!(crossed, 2 * (SHARDS - 1));
    sharded.expect_in_order();
}

#[test]
fn legs_over_several_shards_move_all_or_none() {
    let sharded = Sharded::open();
    let (bank, all) = (&sharded.bank, sharded.all());
    let [a, b, c, d] = [0, 1, 2, 3].map(|shard| sharded.account(shard));
    let leg = |from: &str, to: &str, amount: &str| json!({"from": from, "to": to, "amount": amount});
    let legs = |legs: &[Value]| json!({"type": "transfer", "currency": "EUR", "legs": legs});
    let four = legs(&[leg(a, b, "10.00"), leg(c, b, "5.00"), leg(b, d, "2.50")]);
    expect_succeeded(bank, bank.post("/api/v1/transfers", &four));
    assert_eq!(ledgers(bank, &[a, b, c, d]), ["90.00", "112.50", "95.00", "102.50"]);
    let before = ledgers(bank, &all);
    let too_much = legs(&[leg(a, b, "10.00"), leg(c, b, "95.01"), leg(b, d, "2.50")]);
    let end = expect_failed(bank, bank.post("/api/v1/transfers", &too_much), "insufficient_funds");
    assert!(sides(&end, b).is_empty(), "nothing is credited before all said yes");
    bank.post(&format!("/api/v1/accounts/{d}/freeze"), &json!({"kind": "full"})).expect(200);
    expect_failed(bank, bank.post("/api/v1/transfers", &four), "account_frozen");
    assert_eq!(ledgers(bank, &all), before);
    sharded.expect_in_order();
}

#[test]
fn an_atomic_batch_over_several_shards_moves_all_or_none() {
    let sharded = Sharded::open();
    let (bank, all) = (&sharded.bank, sharded.all());
    let [a, b, c, d] = [0, 1, 2, 3].map(|shard| sharded.account(shard));
    let batch = |last: &str| {
        json!({"mode": "atomic", "transfers": [
            transfer(a, b, "10.00"), transfer(b, c, "20.00"), transfer(c, d, "30.00"), transfer(d, a, last)]})
    };
    let results = |key: &str, body: &Value| {
        let answer = bank.post_with_key("/api/v1/transfers/batch", key, body);
        let results = answer.json()["results"].as_array().expect("results").clone();
        let statuses: Vec<u64> = results.iter().map(|result| result["status"].as_u64().expect("a status")).collect();
        assert_eq!(statuses, [202; 4]);
        let ids: Vec<String> = results.iter().map(|result| id_of(&result["transfer"])).collect();
        (ids, answer.text())
    };
    let (ids, text) = results("fits", &batch("40.00"));
    for id in &ids {
        assert_eq!(ended(bank, id)["status"], "succeeded");
    }
    assert_eq!(ledgers(bank, &[a, b, c, d]), ["130.00", "90.00", "90.00", "90.00"]);
    assert_eq!(results("fits", &batch("40.00")), (ids, text));
    let before = ledgers(bank, &all);
    bank.post(&format!("/api/v1/accounts/{d}/freeze"), &json!({})).expect(200);
    for id in results("does-not", &batch("95.00")).0 {
        let end = ended(bank, &id);
        assert_eq!((&end["status"], end["failure"]["code"].is_string()), (&json!("failed"), true), "{end}");
    }
    assert_eq!(ledgers(bank, &all), before);
    sharded.expect_in_order();
}

#[test]
fn a_hold_is_captured_to_another_shard_or_open_again() {
    let sharded = Sharded::open();
    let (bank, from, to) = (&sharded.bank, sharded.account(0), sharded.account(1));
    let hold = json!({"from": from, "to": to, "amount": "30.00", "currency": "EUR"});
    let hold = bank.post("/api/v1/holds", &hold).expect(201).json();
    let path = format!("/api/v1/holds/{}", hold["hold_id"].as_str().expect("an id"));
    let capture = |amount: &str, is_final: bool| {
        bank.post(&format!("{path}/capture"), &json!({"amount": amount, "final": is_final}))
    };
    expect_succeeded(bank, capture("10.00", false));
    bank.post(&format!("/api/v1/accounts/{to}/freeze"), &json!({"kind": "full"})).expect(200);
    expect_failed(bank, capture("20.00", true), "account_frozen");
    let open = bank.get(&path).expect(200).json();
    assert_eq!((&open["status"], &open["captured"]), (&json!("held"), &json!("10.00")));
    assert_eq!((bank.ledger(from), bank.available(from)), ("90.00".into(), "70.00".into()));
    bank.post(&format!("/api/v1/accounts/{to}/unfreeze"), &json!({})).expect(200);
    expect_succeeded(bank, capture("15.00", true));
    assert_eq!(bank.get(&path).expect(200).json()["status"], "captured");
    assert_eq!((bank.ledger(from), bank.available(from)), ("75.00".into(), "75.00".into()));
    assert_eq!(bank.ledger(to), "125.00");
    sharded.expect_in_order();
}

// R7 between shards
#[test]
fn of_parallel_reversals_between_shards_one_takes_the_money_back() {
    let sharded = Sharded::open();
    let (bank, from, to) = (&sharded.bank, sharded.account(0), sharded.account(1));
    let moved = expect_succeeded(bank, bank.transfer(from, to, "40.00"));
    let path = format!("/api/v1/transfers/{}/reverse", id_of(&moved));
    bank.withdraw(to, "120.00").expect(201);
    expect_failed(bank, bank.post(&path, &json!({})), "insufficient_funds");
    bank.deposit(to, "120.00").expect(201);
    let answers = in_parallel(32, |index| bank.post_with_key(&path, &format!("reversal-{index}"), &json!({})));
    let taken: Vec<&Response> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert_eq!(taken.len(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert!(matches!(answer.code().as_str(), "reversal_pending" | "already_reversed"), "{}", answer.text());
    }
    let by = id_of(&taken[0].json());
    assert_eq!(ended(bank, &by)["status"], "succeeded");
    assert_eq!(bank.get(&format!("/api/v1/transfers/{}", id_of(&moved))).json()["reversed_by"], by.as_str());
    bank.post(&path, &json!({})).expect_problem(409, "already_reversed");
    assert_eq!(ledgers(bank, &[from, to]), ["100.00", "100.00"]);
    sharded.expect_in_order();
}

// I1 between shards
#[test]
fn identical_requests_between_shards_in_the_same_instant_have_one_effect() {
    let sharded = Sharded::open();
    let (bank, from, to) = (&sharded.bank, sharded.account(2), sharded.account(3));
    for round in 0..10 {
        let key = format!("round-{round}");
        let body = transfer(from, to, "1.00");
        let answers = in_parallel(16, |_| bank.post_with_key("/api/v1/transfers", &key, &body));
        let texts: BTreeSet<String> = answers.iter().map(Response::text).collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert!(answers.iter().all(|answer| answer.status == 202));
        assert_eq!(answers.iter().filter(|answer| !answer.is_replayed()).count(), 1);
        assert_eq!(ended(bank, &id_of(&answers[0].json()))["status"], "succeeded");
    }
    assert_eq!(ledgers(bank, &[from, to]), ["90.00", "110.00"]);
    sharded.expect_in_order();
}

// R10 between shards
#[test]
fn transfers_in_both_directions_between_shards_from_64_clients_neither_deadlock_nor_get_lost() {
    let sharded = Sharded::open();
    let (bank, left, right) = (&sharded.bank, sharded.account(0), sharded.account(1));
    let ids = in_parallel(64, |index| {
        let (from, to) = if index % 2 == 0 { (left, right) } else { (right, left) };
        let amount = if index % 2 == 0 { "0.03" } else { "0.01" };
        (0..10).map(|_| id_of(&bank.transfer(from, to, amount).expect(202).json())).collect::<Vec<_>>()
    });
    let ids: BTreeSet<String> = ids.into_iter().flatten().collect();
    assert_eq!(ids.len(), 640);
    for id in &ids {
        assert_eq!(ended(bank, id)["status"], "succeeded");
    }
    assert_eq!(ledgers(bank, &[left, right]), ["93.60", "106.40"]);
    assert_eq!((bank.postings(left).len(), bank.postings(right).len()), (641, 641));
    sharded.expect_in_order();
}

#[test]
fn what_is_under_way_is_listed_by_its_age() {
    let sharded = Sharded::open();
    let bank = &sharded.bank;
    let is_done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0;
            while !is_done.load(Ordering::SeqCst) {
                let pending = bank.all("/api/v1/transfers?status=pending");
                assert!(pending.iter().all(|row| row["status"] == "pending"), "{pending:?}");
                seen += pending.len();
                let old = bank.all("/api/v1/transfers?status=pending&older_than=3600");
                assert!(old.is_empty(), "{old:?}");
            }
            seen
        });
        let ids = in_parallel(4, |shard| {
            let (from, to) = (sharded.account(shard), sharded.account((shard + 1) % SHARDS));
            let ids = (0..200).map(|_| id_of(&bank.transfer(from, to, "0.01").expect(202).json()));
            ids.collect::<Vec<_>>()
        });
        ids.iter().flatten().for_each(|id| drop(ended(bank, id)));
        is_done.store(true, Ordering::SeqCst);
        watcher.join().expect("the watcher")
    });
    assert!(0 < seen, "of 800 transfers none was seen under way");
    bank.get("/api/v1/transfers?older_than=1").expect_problem(400, "malformed");
    assert_eq!(bank.all("/api/v1/transfers?status=failed"), [Value::Null; 0]);
    sharded.expect_in_order();
}

#[test]
fn an_operator_who_asks_for_money_back_gets_all_or_nothing() {
    let sharded = Sharded::open();
    let bank = &sharded.bank;
    let [a, b, c] = [0, 1, 2].map(|shard| sharded.account(shard));
    let legs = json!({"type": "transfer", "currency": "EUR", "legs": [
        {"from": a, "to": b, "amount": "1.00"}, {"from": c, "to": b, "amount": "1.00"}]});
    let mut succeeded = 0;
    for _ in 0..20 {
        let id = id_of(&bank.post("/api/v1/transfers", &legs).expect(202).json());
        let now = bank.post(&format!("/api/v1/transfers/{id}/cancel"), &json!({})).expect(202).json();
        assert_eq!(now["transfer_id"], id.as_str());
        let end = ended(bank, &id);
        match end["status"].as_str() {
            Some("succeeded") => succeeded += 1,
            _ => assert_eq!(end["failure"]["code"], "cancelled", "{end}"),
        }
        let moved = 10_000 - 100 * succeeded;
        let text = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
        assert_eq!(ledgers(bank, &[a, b, c]), [text(moved), text(10_000 + 200 * succeeded), text(moved)]);
    }
    let own = bank.transfer(a, &sharded.accounts[0][1], "0.01").expect(201).json();
    let same = bank.post(&format!("/api/v1/transfers/{}/cancel", id_of(&own)), &json!({})).expect(202).json();
    assert_eq!(same["status"], "succeeded");
    bank.post("/api/v1/transfers/1/cancel", &json!({})).expect_problem(404, "transfer_not_found");
    sharded.expect_in_order();
}

#[test]
fn an_event_whose_transfer_another_shard_refuses_becomes_a_dead_letter_and_is_redriven() {
    let sharded = Sharded::open();
    let (bank, from, to) = (&sharded.bank, sharded.account(0), sharded.account(1));
    bank.post(&format!("/api/v1/accounts/{to}/freeze"), &json!({"kind": "full"})).expect(200);
    let data = json!({"from": from, "to": to, "amount": "7.00", "currency": "EUR"});
    let event = json!({"specversion": "1.0", "type": "florin.transfer", "source": "files", "id": "1", "data": data})
        .to_string();
    let send = || {
        let request = Request::post("/api/v1/events").body("application/cloudevents+json", event.clone().into_bytes());
        bank.send(request).expect(200).json()["results"][0].clone()
    };
    let accepted = send();
    assert_eq!(accepted["status"], "accepted", "{accepted}");
    assert_eq!(ended(bank, &id_of(&accepted))["failure"]["code"], "account_frozen");
    let letters = bank.all("/api/v1/dead-letters?status=waiting");
    assert_eq!((letters.len(), &letters[0]["code"]), (1, &json!("account_frozen")));
    assert_eq!(letters[0]["event"]["data"], data);
    assert_ne!(send()["status"], "accepted", "sent again it changes nothing");
    bank.post(&format!("/api/v1/accounts/{to}/unfreeze"), &json!({})).expect(200);
    let path = format!("/api/v1/dead-letters/{}/redrive", letters[0]["dead_letter_id"].as_str().expect("an id"));
    assert_eq!(bank.post(&path, &json!({})).expect(200).json()["status"], "redriven");
    let newest = bank.all(&format!("/api/v1/transfers?account_id={from}"));
    assert_eq!(ended(bank, &id_of(&newest[0]))["status"], "succeeded");
    assert_eq!(ledgers(bank, &[from, to]), ["93.00", "107.00"]);
    assert_eq!(bank.all("/api/v1/dead-letters?status=waiting").len(), 0);
    sharded.expect_in_order();
}

/// Clients move money between all shards until the bank is gone; what each was told, by key.
fn load_until_killed(sharded: &Sharded, round: u64) -> BTreeMap<String, (Value, String)> {
    let (bank, all) = (&sharded.bank, sharded.all());
    let (answers, told) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    in_parallel(4, |client| {
        let mut numbers = Numbers(round * 100 + client as u64);
        let Ok(mut connection) = Connection::open(bank.address()) else { return };
        for number in 0..100_000 {
            let mut account = || all[usize::try_from(numbers.below(all.len() as u64)).expect("few")];
            let (from, to, third) = (account(), account(), account());
            if from == to || from == third || to == third {
                continue;
            }
            let one = |from: &str, to: &str| json!({"from": from, "to": to, "amount": "0.01"});
            let body = match number % 3 {
                0 => json!({"type": "transfer", "currency": "EUR", "legs": [one(from, to), one(third, to)]}),
                _ => transfer(from, to, "0.01"),
            };
            let key = format!("{round}-{client}-{number}");
            let Ok(answer) = connection.send(&Request::post("/api/v1/transfers").key(&key).json(&body)) else { return };
            assert!(matches!(answer.status, 201 | 202), "{}", answer.text());
            told.lock().expect("no client fails").insert(key, (body, answer.text()));
            if answers.fetch_add(1, Ordering::Relaxed) == 20 + 37 * round {
                bank.server().signal("KILL");
            }
        }
    });
    told.into_inner().expect("no client fails")
}

#[test]
fn a_bank_of_several_shards_that_is_killed_loses_nothing_that_was_under_way() {
    let mut sharded = Sharded::open();
    let mut told = BTreeMap::new();
    for round in 0..4 {
        let heard = load_until_killed(&sharded, round);
        sharded.bank = sharded.bank.crash_and_restart();
        for (key, (body, text)) in &heard {
            let again = sharded.bank.post_with_key("/api/v1/transfers", key, body);
            assert!(again.is_replayed(), "{key} was forgotten");
            assert_eq!(&again.text(), text, "{key}");
        }
        told.extend(heard);
    }
    let bank = &sharded.bank;
    for (_, text) in told.values() {
        let first: Value = serde_json::from_str(text).expect("JSON");
        let end = ended(bank, &id_of(&first));
        assert_eq!(end["status"], "succeeded", "{end}");
    }
    // What nobody was told of has ended too, and what is on the accounts is what their transfers come to.
    for row in bank.all("/api/v1/transfers") {
        assert_eq!(ended(bank, &id_of(&row))["status"], "succeeded");
    }
    let cents = |text: &Value| text.as_str().expect("an amount").replace('.', "").parse::<i64>().expect("cents");
    let mut total = 0;
    for account in sharded.all() {
        let mut balance = 0;
        for (version, posting) in (1..).zip(bank.postings(account).iter().rev()) {
            balance += if posting["side"] == "credit" { cents(&posting["amount"]) } else { -cents(&posting["amount"]) };
            assert_eq!((cents(&posting["balance_after"]), &posting["version"]), (balance, &json!(version)));
        }
        assert_eq!(cents(&bank.account(account)["balance"]["ledger"]), balance);
        total += balance;
    }
    assert_eq!(total, 10_000 * 2 * 4);
    sharded.expect_in_order();
}

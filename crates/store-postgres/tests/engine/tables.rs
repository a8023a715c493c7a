//! What the tables promise to people and to an operator: facts stay, damage is found, rights hold, both engines replay
//! the same journal to the same state.

use crate::bank::{Node, clock, key_of, options, transfer};
use ledger::command::{ChangeTerms, Command};
use std::sync::Arc;
use store::conformance::bench::{Bench, World, transferred};
use store::conformance::{Fixture, ask, block_on};
use store::model::{Identity, MemoryStore};
use store::query::EntryQuery;
use store::{Request, Store};
use store_postgres::engine::Engine;
use test_servers::Postgres;

fn name(url: &str) -> String {
    url.rsplit('/').next().expect("a name").to_string()
}

/// A bank with a bit of everything.
fn varied(node: &Node) {
    node.open_accounts();
    (0..100).collect::<Vec<u64>>().chunks(7).for_each(|numbers| {
        node.insist(&numbers.iter().map(|number| transfer(*number)).collect::<Vec<_>>());
    });
    let request = |number, command| Request { key: Some(key_of(number)), command };
    let made = node.insist(&[transfer(100)]);
    let noted = ask::noted(ask::movement(1, 2, 3), None, Some("rent"), &[("flat", "7")]);
    node.insist(&[
        request(200, ask::reverse(transferred(&made[0]).id)),
        request(201, ask::hold(3, None, 50, None)),
        request(202, ask::ingest(ask::transfer(1, 2, 999_999_999), b"too much")),
        request(203, Command::Transfer(noted)),
        request(204, ask::legs(&[(1, 2, 5), (2, 3, 6), (1, 4, 7)])),
    ]);
}

#[test]
fn a_row_changed_by_hand_is_found_and_named() {
    let server = Postgres::shared();
    let url = server.create_database();
    let node = Node::open(&url, &clock(), 1);
    varied(&node);
    node.expect_clean();
    let changes = [
        ("accounts", "balance = balance + 1 where id = 5", "account 5"),
        ("accounts", "overdraft_limit = 100 where id = 6", "account 6"),
        ("postings", "amount = amount - 1 where account = 2 and version = 3", "posting 3 of account 2"),
        ("transfers", "reference = 'forged' where reference = 'rent'", "transfer "),
        ("keys", "sequence = sequence + 1 where sequence = 20", "key "),
        ("holds", "amount = 1", "hold "),
        ("customers", "revision = 9", "user 900"),
        ("dead_letters", "code = 'fine'", "dead letter "),
        ("reversals", "reversed_by = 1", "reversal "),
        ("transfer_metadata", "value = '8'", "metadata flat"),
        (
            "blocks",
            "hash = previous_hash where first_sequence = (select min(first_sequence) from florin.blocks)",
            "block",
        ),
        ("chunks", "payload = set_byte(payload, 40, get_byte(payload, 40) # 1) where first_sequence = 18", "entr"),
        ("head", "last_id = last_id + 1", "head"),
    ];
    for (table, change, named) in changes {
        let undo = format!(
            "begin; set session_replication_role = replica; create table undo as select * from florin.{table}; \
             update florin.{table} set {change}; commit"
        );
        server.psql(&name(&url), &undo);
        let report = node.verify();
        let failures: Vec<&String> = report.checks.iter().filter_map(|check| check.failure.as_ref()).collect();
        assert!(failures.iter().any(|failure| failure.contains(named)), "{table}: {change}: {failures:?}");
        server.psql(
            &name(&url),
            &format!(
                "begin; set session_replication_role = replica; delete from florin.{table}; \
                 insert into florin.{table} select * from undo; drop table undo; commit"
            ),
        );
        node.expect_clean();
    }
}

#[test]
fn rows_added_or_removed_by_hand_are_found() {
    let server = Postgres::shared();
    for (change, named) in [
        ("insert into florin.keys select gen_random_uuid(), fingerprint, sequence from florin.keys limit 1", "keys"),
        (
            "insert into florin.postings select 77, version, transfer, amount, dated, step, balance_after \
          from florin.postings limit 1",
            "postings",
        ),
        ("set session_replication_role = replica; delete from florin.transfers where reference = 'rent'", "transfer"),
    ] {
        let url = server.create_database();
        let node = Node::open(&url, &clock(), 1);
        varied(&node);
        server.psql(&name(&url), change);
        let report = node.verify();
        assert!(
            report.checks.iter().any(|check| check.failure.as_ref().is_some_and(|failure| failure.contains(named))),
            "{change}: {report:?}"
        );
    }
}

fn refusal(server: &Postgres, url: &str, user: &str, text: &str) -> String {
    let url = url.replace("postgres@", &format!("{user}@"));
    let wrapped = format!("do $$ begin {text}; exception when others then raise notice 'refused: %', sqlerrm; end $$");
    server.try_psql(&url, &wrapped)
}

#[test]
fn facts_are_refused_to_everybody_and_state_to_readers() {
    let server = Postgres::shared();
    let url = server.create_database();
    let node = Node::open(&url, &clock(), 1);
    varied(&node);
    for table in
        ["blocks", "chunks", "transfers", "steps", "postings", "keys", "reversals", "transfer_metadata", "shard"]
    {
        for text in [format!("delete from florin.{table}"), format!("truncate florin.{table}")] {
            let said = refusal(server, &url, "postgres", &text);
            assert!(said.contains("are facts"), "{text}: {said}");
            let said = refusal(server, &url, "florin_application", &text);
            assert!(said.contains("permission denied"), "{text}: {said}");
        }
    }
    let said = refusal(server, &url, "florin_reader", "perform secret from florin.shard");
    assert!(said.contains("permission denied"), "{said}");
    let said = refusal(server, &url, "florin_reader", "perform 1 from bank.postings");
    assert!(!said.contains("refused"), "{said}");
    let timeout =
        server.try_psql(&url.replace("postgres@", "florin_reader@"), "show idle_in_transaction_session_timeout");
    assert_eq!(timeout.trim(), "10s");
    node.expect_clean();
}

#[test]
fn the_application_role_is_enough_to_serve() {
    let server = Postgres::shared();
    let url = server.create_database();
    let mut options = options(&url, &clock(), 1);
    options.shards = vec![url.replace("postgres@", "florin_application@")];
    let node = Node::with(&options);
    varied(&node);
    node.expect_clean();
}

#[test]
fn views_show_amounts_words_and_times() {
    let server = Postgres::shared();
    let url = server.create_database();
    let node = Node::open(&url, &clock(), 1);
    varied(&node);
    let row = server.psql(
        &name(&url),
        "select type, amount, currency, metadata->>'flat', created_at::date from bank.transfers where reference = 'rent'",
    );
    assert_eq!(row, "transfer|0.03|EUR|7|2026-11-21");
    let row = server
        .psql(&name(&url), "select side, amount, currency from bank.postings where account_id = 5 and version = 1");
    assert_eq!(row, "credit|10000.00|EUR");
    assert_eq!(server.psql(&name(&url), "select currency, minor_units from bank.sums"), "EUR|0");
    assert_eq!(server.psql(&name(&url), "select status, held from bank.accounts where id = 3"), "active|0.50");
}

/// A store to be read.
struct Seen(Arc<dyn Store>);

impl Fixture for Seen {
    fn store(&self) -> &dyn Store {
        &*self.0
    }

    fn reopen(&mut self) {}
}

/// Everything that can be read of a store.
fn world(store: Arc<dyn Store>) -> World {
    block_on(Bench::new(move |_| Box::new(Seen(store))).world())
}

#[test]
fn the_same_journal_gives_the_same_bank_in_memory() {
    let url = Postgres::shared().create_database();
    let clock = clock();
    let node = Node::open(&url, &clock, 1);
    varied(&node);
    let limits = ChangeTerms {
        account: ask::account(2),
        overdraft_limit: Some(ask::amount(5)),
        per_transfer: None,
        daily_debit: Some(Some(ask::amount(500))),
        monthly_debit: None,
    };
    node.insist(&[Request { key: None, command: Command::ChangeTerms(Box::new(limits)) }]);
    let entries = block_on(node.store.entries(EntryQuery { after: 0, limit: 1000 })).expect("no fault");
    assert_eq!(entries.len() as u64, node.store.head());
    let memory = MemoryStore::from_entries(Identity::only_shard(), clock, entries);
    assert_eq!(world(node.store.clone()), world(Arc::new(memory)));
}

#[test]
fn a_newer_schema_is_refused() {
    let server = Postgres::shared();
    let url = server.create_database();
    drop(Node::open(&url, &clock(), 1));
    server.psql(&name(&url), "insert into public.florin_migrations (version, name) values (99, 'of the future')");
    let refused = Engine::open(&options(&url, &clock(), 1)).expect_err("it is newer");
    assert!(refused.to_string().contains("use a newer Florin"), "{refused}");
}

#[test]
fn a_database_without_tables_is_refused_without_its_owner() {
    let url = Postgres::shared().create_database();
    let mut options = options(&url, &clock(), 1);
    options.owners.clear();
    let refused = Engine::open(&options).expect_err("it has no tables");
    assert!(refused.to_string().contains("owner"), "{refused}");
}

#[test]
fn a_database_of_another_bank_is_refused() {
    let server = Postgres::shared();
    let urls = [server.create_database(), server.create_database()];
    drop(Node::open(&urls[0], &clock(), 1));
    let mut both = options(&urls[0], &clock(), 1);
    both.shards = urls.to_vec();
    both.owners = urls.to_vec();
    let refused = Engine::open(&both).expect_err("nobody added the second shard");
    assert!(refused.to_string().contains("florin shards add"), "{refused}");
    both.add_shard = true;
    let engine = Engine::open(&both).expect("a new shard has the secret of the first");
    let secrets: Vec<_> = engine.stores().iter().map(|store| store.secret()).collect();
    assert_eq!(secrets[0], secrets[1]);
    engine.shut_down();
    let one = options(&urls[0], &clock(), 1);
    drop(Engine::open(&one).expect("the slots were dealt to one shard, and the other has none yet"));
    both.shards.reverse();
    both.owners.reverse();
    let refused = Engine::open(&both).expect_err("shards are in the wrong order");
    assert!(refused.to_string().contains("is shard 1"), "{refused}");
}

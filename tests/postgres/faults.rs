//! What breaks while clients move money between shards: nodes, databases, and the ways between them. Each fault happens
//! again and again to one bank; after each, everything that was acknowledged must be there.

use crate::support::book::{ACCOUNTS, Book};
use crate::support::cluster::Cluster;
use crate::support::http::Request;
use crate::support::wait::{rounds, wait_for, wait_until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use test_servers::{Disk, Lost, Postgres};

const SHARDS: usize = 2;
const NODES: usize = 3;
/// How often each fault happens in the short form.
const ROUNDS: usize = 1;
/// How long a way stays broken: longer than a session may sit in a transaction.
const PARTITION: Duration = Duration::from_secs(3);
/// How many answers to COMMIT are lost in a round.
const COMMITS_LOST: usize = 6;
/// How late another node may have the work of one that died.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(5);

fn survive(cluster: &Cluster, strike: impl Fn(usize)) {
    Book::open(cluster).survive(cluster, rounds(ROUNDS), strike);
}

#[test]
fn a_node_that_is_killed_takes_nothing_with_it() {
    let cluster = Cluster::start(SHARDS, NODES);
    survive(&cluster, |round| {
        cluster.kill_node(round % NODES);
        cluster.start_node(round % NODES);
    });
}

#[test]
fn the_work_of_a_relay_whose_node_is_killed_is_taken_over_within_seconds() {
    let cluster = Cluster::start(SHARDS, NODES);
    survive(&cluster, |round| {
        let taken_over = cluster.kill_relay(round % NODES);
        assert!(taken_over < TAKEN_OVER_MAX, "taken over after {taken_over:?}");
    });
}

#[test]
fn a_database_that_is_killed_loses_nothing() {
    let cluster = Cluster::start(SHARDS, NODES);
    survive(&cluster, |round| {
        cluster.postgres(round % SHARDS).kill();
        cluster.postgres(round % SHARDS).run();
    });
}

#[test]
fn a_database_that_is_restarted_is_served_again() {
    let cluster = Cluster::start(SHARDS, NODES);
    survive(&cluster, |round| {
        cluster.postgres(round % SHARDS).stop();
        cluster.postgres(round % SHARDS).run();
    });
}

#[test]
fn a_connection_cut_after_commit_was_sent_leaves_no_doubt() {
    let cluster = Cluster::start(SHARDS, NODES);
    survive(&cluster, |round| {
        for number in 0..COMMITS_LOST {
            let way = cluster.way((round + number) % NODES, number % SHARDS);
            let before = way.commits_lost();
            way.lose_next_commit(Lost::Answer);
            wait_until("a commit has lost its answer", || before < way.commits_lost());
        }
    });
}

#[test]
fn a_node_that_is_parted_from_a_database_answers_again_afterwards() {
    let cluster = Cluster::start(SHARDS, NODES);
    survive(&cluster, |round| {
        let way = cluster.way(round % NODES, round % SHARDS);
        if round % 2 == 0 {
            way.stall();
        } else {
            way.refuse();
            way.cut();
        }
        wait_for(PARTITION);
        way.heal();
    });
}

/// A bank whose first shard has a disk of its own.
fn on_a_disk(disk: &Disk) -> Cluster {
    let on_disk = Postgres::start_under(disk.path(), "max_wal_size = 64MB\nshared_buffers = 32MB");
    Cluster::over(vec![on_disk, Postgres::start("")], NODES, 1, |_, _| {})
}

/// First tables cannot grow, then the server's own log cannot, which ends it.
#[test]
fn a_full_disk_of_a_shard_stops_nothing_but_that_shard() {
    let disk = Disk::new(400);
    let cluster = on_a_disk(&disk);
    survive(&cluster, |round| {
        let server = cluster.postgres(0);
        disk.fill();
        if round % 2 == 1 {
            let fill_log =
                "select pg_logical_emit_message(true, 'fill', repeat('x', 10000000)) from generate_series(1, 9)";
            _ = server.try_psql(&server.url("postgres"), fill_log);
        }
        wait_for(PARTITION);
        disk.free();
        server.run();
    });
}

/// What the server of a shard wrote and did not sync is gone: it has to find its way back from what it synced.
#[test]
fn a_power_cut_of_a_shard_loses_nothing_that_was_acknowledged() {
    let disk = Disk::new(400);
    let cluster = on_a_disk(&disk);
    disk.sync();
    survive(&cluster, |_| {
        disk.cut_power();
        let server = cluster.postgres(0);
        server.kill();
        disk.restore_power();
        server.run();
    });
}

/// Each shard has a synchronous standby. The primary of one is killed, its standby promoted, and a new standby follows.
#[test]
fn after_a_failover_to_the_standby_nothing_acknowledged_is_missing() {
    let servers: Vec<Postgres> = (0..SHARDS).map(|_| Postgres::start("")).collect();
    let cluster = Cluster::over(servers, NODES, 2, |_, _| {});
    let standbys: Vec<_> = (0..SHARDS).map(|shard| std::sync::Mutex::new(follow(&cluster, shard, 1))).collect();
    survive(&cluster, |round| {
        // Each shard fails over every other round, from its first host to its second and back.
        let (shard, host) = (round % SHARDS, (round / SHARDS + 1) % 2);
        cluster.postgres(shard).kill();
        let mut standby = standbys[shard].lock().expect("nobody panics");
        standby.promote();
        cluster.replace(shard, Arc::clone(&standby), host);
        *standby = follow(&cluster, shard, 1 - host);
    });
}

/// A standby of a shard that commits wait for, which nodes know as this host.
fn follow(cluster: &Cluster, shard: usize, host: usize) -> Arc<Postgres> {
    let primary = cluster.postgres(shard);
    let standby = Arc::new(primary.standby("standby"));
    primary.set("synchronous_standby_names", "standby");
    cluster.lead(shard, host, &standby);
    wait_until("commits wait for the standby", || {
        primary.psql("postgres", "select count(*) from pg_stat_replication where sync_state = 'sync'") == "1"
    });
    standby
}

/// The slot of one account after the other goes to the next shard, and every other time the node that moves it is killed.
/// A slot never returns, so there are as many moves as slots with accounts have other shards.
#[test]
fn slots_that_move_meanwhile_take_no_transfer_with_them() {
    let cluster = Cluster::start(SHARDS + 1, NODES);
    survive(&cluster, |round| {
        let slot = ledger::ids::slot(1 + round as u64 % ACCOUNTS);
        let mut client = cluster.client(round);
        let listed = client.insist(&Request::get("/api/v1/system/shards")).expect(200).json();
        let has_slot = |item: &Value| item["slots"].as_array().is_some_and(|slots| slots.contains(&Value::from(slot)));
        let owner = listed["items"].as_array().expect("shards").iter().position(has_slot).expect("an owner");
        let body = json!({"slots": [slot], "to": (owner + 1) % cluster.shards()});
        let move_slot = Request::post("/api/v1/system/slots/move").json(&body);
        std::thread::scope(|scope| {
            let moving = scope.spawn(|| client.insist(&move_slot).expect(200));
            if round % 2 == 1 {
                cluster.kill_node(round % NODES);
                cluster.start_node(round % NODES);
            }
            moving.join().expect("it moves");
        });
    });
}

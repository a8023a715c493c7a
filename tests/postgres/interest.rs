//! Days closed by eight processes at once, over shards in PostgreSQL.

use crate::support::clock::{TimedBank, at, told};
use crate::support::cluster::Cluster;
use crate::support::interest::{BY_HAND, DAYS_LATER, MORNING, close, outcome, set_up};
use std::sync::{Arc, Barrier, Mutex};
use test_servers::Postgres;

const SHARDS: usize = 2;
const NODES: usize = 8;

#[test]
fn days_closed_by_eight_processes_at_once_are_as_if_one_had_closed_them() {
    let mut alone = TimedBank::open_at(MORNING, &[BY_HAND]);
    set_up(alone.bank());
    alone.go_to(DAYS_LATER);
    assert_eq!(close(alone.bank().address()), Some(200));
    let expected = outcome(alone.bank());

    // Nodes go by the database's time.
    let time = Arc::new(Mutex::new(MORNING));
    let servers = (0..SHARDS).map(|_| Postgres::start_among(told(MORNING))).collect();
    let clock = time.clone();
    let cluster = Cluster::over(servers, NODES, 1, move |_, command| {
        command.env(BY_HAND.0, BY_HAND.1);
        at(command, *clock.lock().expect("nobody panics"));
    });
    cluster.look(0, set_up);
    for place in 0..NODES {
        assert_eq!(cluster.take_out(place).terminate(), Some(0));
    }
    *time.lock().expect("nobody panics") = DAYS_LATER;
    (0..SHARDS).for_each(|shard| cluster.postgres(shard).start_again_among(told(DAYS_LATER)));
    (0..NODES).for_each(|place| cluster.start_node(place));
    let at_once = Barrier::new(NODES);
    let closed: Vec<bool> = std::thread::scope(|scope| {
        let closer = |place: usize| {
            let (cluster, at_once) = (&cluster, &at_once);
            scope.spawn(move || {
                at_once.wait();
                close(cluster.address(place).expect("a node")) == Some(200)
            })
        };
        let closers: Vec<_> = (0..NODES).map(closer).collect();
        closers.into_iter().map(|closer| closer.join().expect("no thread fails")).collect()
    });
    assert!(closed.contains(&true), "none of them came to the end");
    for place in 0..NODES {
        assert_eq!(close(cluster.address(place).expect("a node")), Some(200), "what is closed is closed for all");
    }
    cluster.look(NODES - 1, |bank| assert_eq!(outcome(bank), expected));
}

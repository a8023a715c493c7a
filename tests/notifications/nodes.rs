//! Several nodes over one PostgreSQL shard: one sends at a time, and another takes over what a killed one leaves.

use super::world::Customer;
use crate::support::cluster::Cluster;
use test_servers::{MailAnswer, MailServer, Postgres};

#[test]
fn what_a_killed_node_leaves_another_sends_once_with_its_id() {
    let server = MailServer::start();
    let port = server.port().to_string();
    let cluster = Cluster::over(vec![Postgres::start("")], 2, 1, move |_, command| {
        command
            .env("FLORIN_SMTP__HOST", "127.0.0.1")
            .env("FLORIN_SMTP__PORT", &port)
            .env("FLORIN_SMTP__TLS", "none")
            .env("FLORIN_SMTP__FROM", "messages@bank.example")
            .env("FLORIN_NOTIFICATIONS__TIMEOUT_MS", "3000")
            .env("FLORIN_NOTIFICATIONS__RETRY_FIRST_MS", "50")
            .env("FLORIN_NOTIFICATIONS__RETRY_MOST_MS", "500");
    });
    let customer = cluster.look(0, |bank| Customer::new(bank, "en", "EUR"));
    cluster.look(1, |bank| customer.deposit(bank, "1", "EUR"));
    cluster.look(0, |bank| customer.wait_for(bank, 1, "sent"));
    assert_eq!(server.count(), 1, "one node sent it");
    // Whichever node sends, it is killed while the server says nothing.
    server.answer(MailAnswer::Silence);
    cluster.look(1, |bank| {
        (2..6).for_each(|amount| customer.deposit(bank, &amount.to_string(), "EUR"));
        customer.wait_for(bank, 4, "waiting");
    });
    let holder = cluster
        .psql(0, "select convert_from(value, 'UTF8') from florin.records where key like 'lease/notification/email%'");
    assert!(holder.contains("holder"), "a node has the lease: {holder}");
    for place in 0..2 {
        cluster.take_out(place).kill();
        server.answer(MailAnswer::Take);
        cluster.start_node(place);
    }
    cluster.look(1, |bank| customer.wait_for(bank, 5, "sent"));
    let mut ids: Vec<Option<String>> = server.taken().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each deposit has one id");
}

//! A bank that sends messages to servers of the test.

use crate::support::bank::{Bank, Server, serve};
use crate::support::wait::wait_until;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use test_servers::MailServer;

/// Ids of customers and accounts that no other test of a bank has.
static NEXT: AtomicU64 = AtomicU64::new(1000);

/// `florin serve` on this folder, impatient with providers.
pub(crate) fn impatient(folder: &Path) -> Command {
    let mut command = serve(folder);
    command.arg("--no-auth");
    for (key, value) in [("RETRY_FIRST_MS", "40"), ("RETRY_MOST_MS", "200"), ("TIMEOUT_MS", "1500")] {
        command.env(format!("FLORIN_NOTIFICATIONS__{key}"), value);
    }
    command
}

/// The same with this mail server.
pub(crate) fn with_mail(folder: &Path, server: &MailServer) -> Command {
    let mut command = impatient(folder);
    command
        .env("FLORIN_SMTP__HOST", "127.0.0.1")
        .env("FLORIN_SMTP__PORT", server.port().to_string())
        .env("FLORIN_SMTP__TLS", "none")
        .env("FLORIN_SMTP__FROM", "Example Bank <messages@bank.example>");
    command
}

/// A bank in this folder that was started so.
pub(crate) fn start(folder: &Path, command: &mut Command) -> Bank {
    Bank::attach(Server::start(command), folder)
}

/// A customer with an account of the same id.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) phone: String,
}

impl Customer {
    /// Registered with a mail address, a number and an account in this currency.
    pub(crate) fn new(bank: &Bank, locale: &str, currency: &str) -> Customer {
        Customer::with_id(bank, NEXT.fetch_add(1, Ordering::Relaxed), locale, currency)
    }

    /// The same with an id of the test's own choice.
    pub(crate) fn with_id(bank: &Bank, id: u64, locale: &str, currency: &str) -> Customer {
        let (id, email, phone) = (id.to_string(), format!("customer-{id}@example.org"), format!("+4207770{id:0>5}"));
        let user = json!({"user_id": id, "name": "Žofie <Nová>", "email": email, "phone": phone, "locale": locale});
        bank.post("/api/v1/users", &user).expect(201);
        let account = json!({"account_id": id, "user_id": id, "currency": currency, "type": "checking"});
        bank.post("/api/v1/accounts", &account).expect(201);
        Customer { id, email, phone }
    }

    /// Pays in, in the account's currency.
    pub(crate) fn deposit(&self, bank: &Bank, amount: &str, currency: &str) {
        let deposit = json!({"type": "deposit", "to": self.id, "amount": amount, "currency": currency});
        // A bank that is looked at by several in turn has several that count keys.
        let key = format!("deposit-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        bank.post_with_key("/api/v1/transfers", &key, &deposit).expect(201);
    }

    /// What the customer wants.
    pub(crate) fn prefers(&self, bank: &Bank, preferences: &Value) {
        let path = format!("/api/v1/users/{}/preferences", self.id);
        bank.send(crate::support::http::Request::new("PUT", &path).json(preferences)).expect(200);
    }

    /// The customer's deliveries, the newest first.
    pub(crate) fn deliveries(&self, bank: &Bank) -> Vec<Value> {
        bank.all(&format!("/api/v1/users/{}/deliveries", self.id))
    }

    /// Waits until so many deliveries stand here, and gives them.
    pub(crate) fn wait_for(&self, bank: &Bank, count: usize, status: &str) -> Vec<Value> {
        let found = || {
            let all = self.deliveries(bank).into_iter();
            all.filter(|delivery| delivery["status"] == status).collect::<Vec<_>>()
        };
        wait_until(&format!("{count} deliveries of {} are {status}", self.id), || count <= found().len());
        found()
    }
}

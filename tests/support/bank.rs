//! A bank of its own for a test: `florin serve` as a child process on a free port, with a folder that goes with it.

use super::http::{Connection, Request, Response};
use super::program::florin;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// A running bank. Its process ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Bank {
    server: Server,
    folder: PathBuf,
    _temporary: Option<TempDir>,
    next_key: AtomicU64,
    token: Option<String>,
}

/// The process alone.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

thread_local! {
    static CONNECTIONS: RefCell<HashMap<SocketAddr, Connection>> = RefCell::new(HashMap::new());
}

impl Server {
    /// Starts a prepared `florin serve` and waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Server {
        Server::try_start(command).unwrap_or_else(|line| panic!("the server did not start, it said {line:?}"))
    }

    /// As `start`; what it said instead when it did not come up.
    pub(crate) fn try_start(command: &mut Command) -> Result<Server, String> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program can be started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped")).read_line(&mut line).expect("stdout can be read");
        let address =
            line.strip_prefix("florin is listening on http://").and_then(|address| address.trim().parse().ok());
        match address {
            Some(address) => Ok(Server { child, address }),
            None => {
                _ = child.kill();
                _ = child.wait();
                Err(line)
            }
        }
    }

    /// The id of the process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as a crash does.
    pub(crate) fn kill(mut self) {
        self.kill_and_wait();
    }

    /// Asks it to stop, and returns its exit code.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it ends by itself, and returns its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("the server can be waited for").code()
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.expect("kill can be started").success());
    }

    fn kill_and_wait(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_and_wait();
    }
}

/// `florin serve` on a free port, with this data folder.
pub(crate) fn serve(folder: &Path) -> Command {
    let mut command = florin();
    command.arg("serve").arg("--data").arg(folder).args(["--listen", "127.0.0.1:0", "--quiet"]);
    command
}

impl Bank {
    /// A new bank that asks nobody for a token.
    pub(crate) fn open() -> Bank {
        Bank::open_with(&["--no-auth"])
    }

    /// A new bank that asks for tokens; requests carry the first start's admin token.
    pub(crate) fn open_with_tokens() -> Bank {
        let mut bank = Bank::open_with(&[]);
        let token = std::fs::read_to_string(bank.folder.join("admin.token")).expect("the first start leaves a token");
        bank.token = Some(token.trim().to_owned());
        bank
    }

    /// A new bank, started with further arguments.
    pub(crate) fn open_with(arguments: &[&str]) -> Bank {
        let temporary = TempDir::new().expect("a temporary folder");
        let folder = temporary.path().join("data");
        let server = Server::start(serve(&folder).args(arguments));
        Bank { server, folder, _temporary: Some(temporary), next_key: AtomicU64::new(1), token: None }
    }

    /// A new bank that asks nobody for a token, with these variables in its environment.
    pub(crate) fn open_with_settings(settings: &[(&str, &str)]) -> Bank {
        let temporary = TempDir::new().expect("a temporary folder");
        let folder = temporary.path().join("data");
        let server = Server::start(serve(&folder).arg("--no-auth").envs(settings.iter().copied()));
        Bank { server, folder, _temporary: Some(temporary), next_key: AtomicU64::new(1), token: None }
    }

    /// A bank in a folder that somebody else looks after, without tokens.
    pub(crate) fn open_in(folder: &Path) -> Bank {
        let server = Server::start(serve(folder).arg("--no-auth"));
        Bank { server, folder: folder.into(), _temporary: None, next_key: AtomicU64::new(1), token: None }
    }

    /// A bank that somebody else started in a folder of theirs, without tokens.
    pub(crate) fn attach(server: Server, folder: &Path) -> Bank {
        Bank { server, folder: folder.into(), _temporary: None, next_key: AtomicU64::new(1), token: None }
    }

    /// Its process, for somebody else to look after.
    pub(crate) fn detach(self) -> Server {
        self.server
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Its data folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Stops it in good order; the exit code, and the folder with whoever removes it.
    pub(crate) fn stop(self) -> (Option<i32>, PathBuf, Option<TempDir>) {
        (self.server.terminate(), self.folder, self._temporary)
    }

    /// Kills it and starts it again on the same data.
    pub(crate) fn crash_and_restart(self) -> Bank {
        let Bank { server, folder, _temporary, next_key, token } = self;
        server.kill();
        let server = Server::start(serve(&folder).arg("--no-auth"));
        Bank { server, folder, _temporary, next_key, token }
    }

    /// A key that was not used before.
    pub(crate) fn fresh_key(&self) -> String {
        format!("key-{}", self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    /// Sends a request on this thread's connection.
    pub(crate) fn send(&self, request: Request) -> Response {
        let request = match &self.token {
            Some(token) => request.token(token),
            None => request,
        };
        self.send_as_it_is(&request)
    }

    /// Sends a request without adding a token.
    pub(crate) fn send_as_it_is(&self, request: &Request) -> Response {
        CONNECTIONS.with_borrow_mut(|connections| {
            if let Some(connection) = connections.get_mut(&self.address())
                && let Ok(response) = connection.send(request)
            {
                return response;
            }
            // The server may have closed the kept connection after its last answer.
            let mut connection = Connection::open(self.address()).expect("the server takes connections");
            let response = connection.send(request).expect("the server answers");
            connections.insert(self.address(), connection);
            response
        })
    }

    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(Request::get(path))
    }

    /// `POST` with a fresh key.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.send(Request::post(path).key(&self.fresh_key()).json(body))
    }

    /// `POST` with this key.
    pub(crate) fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Response {
        self.send(Request::post(path).key(key).json(body))
    }

    /// A new customer's id.
    pub(crate) fn new_user(&self) -> String {
        let user = self.post("/api/v1/users", &json!({"name": "Customer"})).expect(201).json();
        user["user_id"].as_str().expect("an id").to_owned()
    }

    /// A new account of a new customer, in euros, with an overdraft limit.
    pub(crate) fn new_account_with_overdraft(&self, limit: &str) -> String {
        self.new_account_of(&json!({"currency": "EUR", "type": "checking", "overdraft_limit": limit}))
    }

    /// A new account of a new customer, with these fields.
    pub(crate) fn new_account_of(&self, fields: &Value) -> String {
        let mut body = fields.clone();
        body["user_id"] = Value::String(self.new_user());
        let account = self.post("/api/v1/accounts", &body).expect(201).json();
        account["account_id"].as_str().expect("an id").to_owned()
    }

    /// A new account in euros with this much on it; `0` leaves it empty.
    pub(crate) fn new_account(&self, balance: &str) -> String {
        let account = self.new_account_of(&json!({"currency": "EUR", "type": "checking"}));
        if balance != "0" {
            self.deposit(&account, balance).expect(201);
        }
        account
    }

    /// Pays euros in.
    pub(crate) fn deposit(&self, to: &str, amount: &str) -> Response {
        self.post("/api/v1/transfers", &json!({"type": "deposit", "to": to, "amount": amount, "currency": "EUR"}))
    }

    /// Pays euros out.
    pub(crate) fn withdraw(&self, from: &str, amount: &str) -> Response {
        self.post(
            "/api/v1/transfers",
            &json!({"type": "withdrawal", "from": from, "amount": amount, "currency": "EUR"}),
        )
    }

    /// Moves euros.
    pub(crate) fn transfer(&self, from: &str, to: &str, amount: &str) -> Response {
        self.post("/api/v1/transfers", &transfer(from, to, amount))
    }

    /// Reserves euros.
    pub(crate) fn hold(&self, from: &str, amount: &str) -> Response {
        self.post("/api/v1/holds", &json!({"from": from, "amount": amount, "currency": "EUR"}))
    }

    /// An account.
    pub(crate) fn account(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/accounts/{id}")).expect(200).json()
    }

    /// What is booked on an account.
    pub(crate) fn ledger(&self, id: &str) -> String {
        self.account(id)["balance"]["ledger"].as_str().expect("a balance").to_owned()
    }

    /// What can be spent of an account.
    pub(crate) fn available(&self, id: &str) -> String {
        self.account(id)["balance"]["available"].as_str().expect("a balance").to_owned()
    }

    /// All items of a list, whatever the number of pages.
    pub(crate) fn all(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        let separator = if path.contains('?') { '&' } else { '?' };
        loop {
            let next = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let page = self.get(&format!("{path}{separator}limit=1000{next}")).expect(200).json();
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// All postings of an account, newest first.
    pub(crate) fn postings(&self, account: &str) -> Vec<Value> {
        self.all(&format!("/api/v1/accounts/{account}/postings"))
    }

    /// Every balance the bank shows must add up to zero, currency by currency.
    #[track_caller]
    pub(crate) fn expect_sums_of_zero(&self) {
        let balances = self.get("/api/v1/system/balances").expect(200).json();
        for row in balances["items"].as_array().expect("items") {
            let total = row["total"].as_str().expect("a total");
            assert!(total.bytes().all(|byte| matches!(byte, b'0' | b'.')), "{balances}");
        }
    }
}

/// The body of a transfer of euros.
pub(crate) fn transfer(from: &str, to: &str, amount: &str) -> Value {
    json!({"type": "transfer", "from": from, "to": to, "amount": amount, "currency": "EUR"})
}

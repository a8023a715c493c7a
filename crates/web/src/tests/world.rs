//! A bank in memory behind the router, with a clock that stands until it is moved.

use super::ports::{TestEnv, TestKeyring};
use crate::{App, Settings, router};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use bank::Bank;
use bank::fee::Fees;
use bank::ports::Env;
use bank::records::MemoryRecords;
use http_body_util::BodyExt;
use ledger::time::Timestamp;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use store::Store;
use store::model::{Identity, MemoryStore};
use store_embedded::engine::{Engine, Options};
use tower::ServiceExt;

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a problem; empty for a success.
    pub(crate) fn code(&self) -> String {
        match self.headers.get("content-type").map(|value| value.as_bytes()) {
            Some(b"application/problem+json") => self.json()["code"].as_str().expect("a code").to_string(),
            _ => String::new(),
        }
    }

    pub(crate) fn is_replayed(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }
}

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) app: App,
    pub(crate) bank: Arc<Bank>,
    pub(crate) env: Arc<TestEnv>,
    pub(crate) memory: Arc<MemoryStore>,
}

impl World {
    /// A bank without tokens, as on one's own machine.
    pub(crate) fn new() -> World {
        World::with(Settings { no_auth: true, is_loopback: true, ..Settings::default() })
    }

    pub(crate) fn with(settings: Settings) -> World {
        World::booked_ahead(settings, 0)
    }

    /// The bank's entries are booked by a clock that is so many microseconds ahead of this node's, as another node's may be.
    pub(crate) fn booked_ahead(settings: Settings, microseconds: u64) -> World {
        let env = TestEnv::new();
        let clock = env.clone();
        let clock = Arc::new(move || clock.now().saturating_add(microseconds));
        let memory = Arc::new(MemoryStore::new(Identity::only_shard(), clock));
        World::of(env, memory.clone(), memory, settings)
    }

    /// A bank over the engine that serves, in a new folder.
    pub(crate) fn embedded(folder: &Path) -> (World, Engine) {
        let env = TestEnv::new();
        let clock = env.clone();
        let engine = Engine::open(folder, &Options::new(Arc::new(move || clock.now()), [7; 48])).expect("a new folder");
        let unused = Arc::new(MemoryStore::new(Identity::only_shard(), Arc::new(|| Timestamp::MAX)));
        let settings = Settings { no_auth: true, is_loopback: true, ..Settings::default() };
        (World::of(env, engine.stores()[0].clone(), unused, settings), engine)
    }

    fn of(env: Arc<TestEnv>, store: Arc<dyn Store>, memory: Arc<MemoryStore>, settings: Settings) -> World {
        let bank = Arc::new(Bank::new(vec![store], env.clone(), Arc::new(TestKeyring::default())));
        let fees = Some(Fees::new(bank.clone(), Arc::new(MemoryRecords::default())));
        let app = App::new(bank.clone(), Settings { fees, ..settings });
        World { router: router(app.clone()), app, bank, env, memory }
    }

    pub(crate) fn pass_days(&self, days: u64) {
        self.env.pass(days * 86_400_000_000);
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes().to_vec();
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).expect("a request")).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.call("GET", path, &[], "").await
    }

    /// A POST with a key; none if it is empty.
    pub(crate) async fn post(&self, path: &str, key: &str, body: &str) -> Answered {
        let headers = [("idempotency-key", key)];
        self.call("POST", path, if key.is_empty() { &[] } else { &headers }, body).await
    }

    /// Registers user 1 and opens these EUR accounts, with so much money in each.
    pub(crate) async fn open(&self, accounts: &[(u64, &str)]) {
        let user = self.post("/api/v1/users", "", r#"{"name":"A","user_id":"1"}"#).await;
        assert_eq!(user.status, 201, "{}", user.text());
        for (id, amount) in accounts {
            let body = format!(r#"{{"user_id":"1","currency":"EUR","type":"checking","account_id":"{id}"}}"#);
            let opened = self.post("/api/v1/accounts", "", &body).await;
            assert_eq!(opened.status, 201, "{}", opened.text());
            if *amount != "0" {
                let body = format!(r#"{{"type":"deposit","to":"{id}","amount":"{amount}","currency":"EUR"}}"#);
                let deposited = self.post("/api/v1/transfers", &format!("first-{id}"), &body).await;
                assert_eq!(deposited.status, 201, "{}", deposited.text());
            }
        }
    }

    pub(crate) async fn ledger(&self, account: u64) -> String {
        let account = self.get(&format!("/api/v1/accounts/{account}")).await.json();
        account["balance"]["ledger"].as_str().expect("a balance").to_string()
    }

    /// Every line is `METHOD PATH [key=KEY] [BODY] => STATUS [CODE]`; what is shown stands for itself.
    pub(crate) async fn check(&self, table: &str) {
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (asked, expected) = line.rsplit_once(" => ").expect("an arrow");
            let mut words = asked.splitn(3, ' ');
            let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
            let rest = words.next().unwrap_or("");
            let (key, body) = match rest.strip_prefix("key=") {
                Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
                None => ("", rest),
            };
            let headers = [("idempotency-key", key)];
            let answered = self.call(method, path, if key.is_empty() { &[] } else { &headers }, body).await;
            let seen = format!("{} {}", answered.status, answered.code());
            assert_eq!(seen.trim_end(), expected.trim(), "{asked}\n{}", answered.text());
        }
    }
}

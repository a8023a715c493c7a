//! The way of commands that look after the bank: the same HTTP calls, either to a running server or to the bank in the
//! data folder without a server between. So both ways mean the same and print the same.

use crate::cli::Remote;
use crate::client::{Client, Reply, Request};
use crate::failure::Failure;
use crate::program::{OpenBank, Program, as_called};
use axum::Router;
use axum::body::{Body, to_bytes};
use serde_json::Value;
use std::time::Duration;
use tokio::runtime::Handle;
use tower::ServiceExt;
use web::{App, Settings};

/// Largest answer; well beyond a page of a thousand dead letters.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// See the module.
pub(crate) enum Door {
    /// Through a running server.
    Server(Box<Client>),
    /// Into the data folder.
    Folder(Box<Inside>),
}

/// The bank's router without a server.
pub(crate) struct Inside {
    open: OpenBank,
    router: Router,
    runtime: Handle,
}

/// Most items of a list that one call brings.
const PAGE: usize = 1000;

/// As good as for ever.
const A_YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Goes the way that is asked for, does this there, and leaves in good order.
///
/// # Errors
/// As opening and leaving, else what was done.
pub(crate) fn with_door<T>(
    program: &Program,
    remote: &Remote,
    act: impl FnOnce(&mut Door) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut door = Door::open(program, remote)?;
    let result = act(&mut door);
    door.close()?;
    result
}

/// A value of an answer as text; nothing where it is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Door {
    /// The items of a list, at most so many. `filter` is what follows the limit in the query.
    ///
    /// # Errors
    /// A refusal of the bank, or a fault.
    pub(crate) fn list(&mut self, path: &str, filter: &str, limit: usize) -> Result<Vec<Value>, Failure> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page_limit = (limit - items.len()).min(PAGE);
            let page = self.call("GET", &format!("{path}?limit={page_limit}{filter}{cursor}"), None, None)?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) if items.len() < limit => cursor = format!("&cursor={next}"),
                _ => return Ok(items),
            }
        }
    }

    /// The way that the command line or the configuration asks for.
    ///
    /// # Errors
    /// As opening the bank, or wrong usage.
    pub(crate) fn open(program: &Program, remote: &Remote) -> Result<Door, Failure> {
        if let Some(server) = program.server(remote)? {
            return Ok(Door::Server(Box::new(server.client())));
        }
        let open = program.open_existing_bank()?;
        let statements = Some(open.statement_settings(&program.config));
        let interest = Some(open.interest.clone());
        let notifications = Some(open.notification_settings(&program.config, None));
        let exchanges = Some(open.exchanges(&program.config));
        let settings = Settings {
            no_auth: true,
            is_loopback: true,
            statements,
            interest,
            notifications,
            exchanges,
            fees: Some(open.fees()),
            standing_orders: Some(open.standing_orders.clone()),
            scheduler: Some(open.scheduler.clone()),
            // What is begun here ends with this process: whoever asked waits for it.
            request_timeout: A_YEAR,
            ..Settings::default()
        };
        let router = web::router(App::new(open.bank.clone(), settings));
        Ok(Door::Folder(Box::new(Inside { open, router, runtime: program.runtime.handle().clone() })))
    }

    /// Asks, and expects success.
    ///
    /// # Errors
    /// A refusal of the bank, or a fault.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        self.call_with_text(method, path, key, body.map(Value::to_string).as_deref())
    }

    /// As [`Door::call`], with a body that is JSON already.
    ///
    /// # Errors
    /// A refusal of the bank, or a fault.
    pub(crate) fn call_with_text(
        &mut self,
        method: &str,
        path: &str,
        key: Option<&str>,
        body: Option<&str>,
    ) -> Result<Value, Failure> {
        let body = body.map(|body| ("application/json", body.as_bytes()));
        let request = Request { method, path, key, body };
        let reply = match self {
            Door::Server(client) => client.send(&request)?,
            Door::Folder(inside) => inside.send(&request)?,
        };
        if !(200..300).contains(&reply.status) {
            return Err(refusal(&reply));
        }
        if reply.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&reply.body).map_err(|error| {
            Failure::fault(
                format!("the answer cannot be understood: {error}"),
                "use the same version of this program as the server's",
            )
        })
    }

    /// Leaves the data folder in good order.
    ///
    /// # Errors
    /// As [`OpenBank::shut_down`].
    pub(crate) fn close(self) -> Result<(), Failure> {
        match self {
            Door::Server(_) => Ok(()),
            Door::Folder(inside) => inside.open.shut_down(),
        }
    }
}

impl Inside {
    fn send(&self, request: &Request<'_>) -> Result<Reply, Failure> {
        let unusable = |error: &dyn std::fmt::Display| {
            Failure::fault(format!("the bank gave no answer: {error}"), "run the command again")
        };
        let mut builder =
            axum::http::Request::builder().method(request.method).uri(request.path).header("host", "localhost");
        if let Some(key) = request.key {
            builder = builder.header("idempotency-key", key);
        }
        let body = match request.body {
            Some((media_type, bytes)) => {
                builder = builder.header("content-type", media_type).header("content-length", bytes.len());
                Body::from(bytes.to_vec())
            }
            None => Body::empty(),
        };
        let request = builder.body(body).map_err(|error| unusable(&error))?;
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.map_err(|error| unusable(&error))?;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.map_err(|error| unusable(&error))?;
            Ok(Reply { status, body: body.to_vec() })
        })
    }
}

/// What an answer that is not a success means here.
pub(crate) fn refusal(reply: &Reply) -> Failure {
    let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    let what = match (text("detail"), text("code")) {
        (detail, code) if !detail.is_empty() => format!("{detail} ({code})"),
        _ => format!("the answer was status {}", reply.status),
    };
    match reply.status {
        404 => Failure::no(what, next_of_unknown(&text("code"))),
        401 => Failure::no(what, "name a file with a valid token: --token-file FILE"),
        403 => Failure::no(what, "use a token of a role that may"),
        400 => Failure::usage(what, "correct it and run the command again"),
        500.. => Failure::fault(what, "run the same command again; look at the server's log if it stays"),
        429 | 409 if problem["retryable"] == true => Failure::no(what, "run the same command again in a moment"),
        _ => Failure::no(what, ""),
    }
}

/// Where ids that there are can be found.
fn next_of_unknown(code: &str) -> String {
    let florin = as_called();
    match code {
        "dead_letter_not_found" => format!("take an id from `{florin} dead-letters list`"),
        "delivery_not_found" => format!("take an id from `{florin} deliveries list`"),
        "account_not_found" => "take an id from GET /api/v1/users/{id}/accounts".to_owned(),
        "user_not_found" => "take an id from GET /api/v1/users".to_owned(),
        "not_found" => {
            format!(
                "look at what there is, such as by `{florin} jobs list` or `{florin} token list`; if it is there, \
                     check that --url is a server of the same version"
            )
        }
        _ => String::new(),
    }
}

/// An idempotency key that nobody used before.
pub(crate) fn fresh_key() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("a machine without randomness cannot run a bank");
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("florin-cli-{digits}")
}

/// Ids go into paths, so that nothing else may. `list` is the command that lists them.
///
/// # Errors
/// Wrong usage.
pub(crate) fn check_id(text: &str, list: &str) -> Result<(), Failure> {
    match text.parse::<ledger::ids::DeadLetterId>() {
        Ok(_) => Ok(()),
        Err(error) => {
            let next = format!("take it from `{} {list}`", as_called());
            Err(Failure::usage(format!("{text:?} is no id: {error}"), next))
        }
    }
}

//! Who calls, and whether they may, and may now: a bearer's token becomes a [`Caller`] before anything else is looked at.
//!
//! Auditors only read. What only an administrator may do and can be told from the path is turned away here; what the
//! body decides (a forced posting) where the body is read, and the bank checks both again.

use crate::App;
use crate::problem::{Code, Problem};
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use bank::Caller;
use ledger::event::Channel;
use ledger::token::Role;
use std::net::IpAddr;
use std::sync::Arc;
use store::Fault;

/// What anybody may see on the machine itself.
const OPEN_ON_LOOPBACK: [&str; 7] =
    ["/", "/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs", "/docs/rapidoc.js"];
/// Longest `X-Request-Id` that is kept as the correlation of an entry.
const CORRELATION_BYTES_MAX: usize = 128;

/// Adds the caller to a request.
///
/// # Errors
/// `unauthenticated`, `forbidden`, `rate_limited`, or a fault of the place where tokens live.
pub(crate) async fn authorise(app: &App, request: &mut Request) -> Result<(), Problem> {
    let path = request.uri().path();
    if app.settings().is_loopback && OPEN_ON_LOOPBACK.contains(&path) {
        return Ok(());
    }
    let correlation = correlation(request.headers());
    if path.starts_with(crate::v1::statements::FILES) && reads(request.method()) {
        // The link itself is the right to read the file; its handler looks at it.
        let (principal, correlation) = (bank::LINK.into(), correlation.into());
        let caller = Caller { principal, role: Role::Auditor, channel: Channel::Http, correlation };
        request.extensions_mut().insert(Arc::new(caller));
        return Ok(());
    }
    let caller = if app.settings().no_auth {
        check_host(request)?;
        check_origin(request)?;
        Caller { correlation: correlation.into(), ..Caller::local(Channel::Http) }
    } else {
        let token = bearer(request.headers())?;
        let known = app.bank().authenticate(token, Channel::Http, correlation).await?;
        known.ok_or_else(|| unauthenticated("the token is unknown, revoked or expired; ask for a new one"))?
    };
    check_role(caller.role, request.method(), path)?;
    if app.rates().is_some_and(|rates| !rates.admit(&caller.principal, app.bank().now())) {
        let detail = "this token may not ask so much in a second; wait a moment, or put many transfers into one batch";
        return Err(Problem::new(Code::RateLimited, detail));
    }
    request.extensions_mut().insert(Arc::new(caller));
    Ok(())
}

/// The token that something lasting was asked for with; nothing where a bank serves without tokens.
pub(crate) struct Bearer(Option<Box<str>>);

impl Bearer {
    /// That of a request that was let in.
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Bearer {
        let token = if app.settings().no_auth { None } else { bearer(headers).ok() };
        Bearer(token.map(Into::into))
    }

    /// Whether whoever has it may still read.
    ///
    /// # Errors
    /// A fault of the place where tokens live.
    pub(crate) async fn is_good(&self, app: &App) -> Result<bool, Fault> {
        match &self.0 {
            Some(token) => Ok(app.bank().authenticate(token, Channel::Http, "").await?.is_some()),
            None => Ok(app.settings().no_auth),
        }
    }
}

/// Without tokens a page of another site must not reach the bank under that site's own name, which whoever owns the name
/// can make to mean this machine. A browser sends the name it asked for; what is no browser need not send any. Without
/// tokens the bank listens on loopback only, so its own names are those of loopback.
fn check_host(request: &Request) -> Result<(), Problem> {
    let from_header = |host: &HeaderValue| host.to_str().ok()?.parse::<Authority>().ok();
    let named = request.headers().get_all(header::HOST).iter().map(from_header);
    let mut hosts = named.chain(request.uri().authority().cloned().map(Some));
    if hosts.all(|host| host.is_some_and(|host| is_loopback(host.host()))) {
        return Ok(());
    }
    let detail = "a bank without tokens is asked as 127.0.0.1, [::1] or localhost; use such an address in place of the \
        name in `Host`, or serve with tokens";
    Err(Problem::new(Code::Forbidden, detail))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

/// Without tokens any page open in a browser on this machine could ask for something in the name of whoever looks at it.
/// Browsers say which site a page is of.
fn check_origin(request: &Request) -> Result<(), Problem> {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    let site = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    let host = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let own = request.uri().authority().map(|authority| authority.as_str()).or_else(host);
    if reads(request.method()) || (site.is_some() && site == own) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "a page of another site may ask nothing of a bank without tokens"))
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn unauthenticated(detail: &'static str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let header = header.ok_or_else(|| unauthenticated("send `Authorization: Bearer TOKEN`"))?;
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        Some(_) | None => Err(unauthenticated("send `Authorization: Bearer TOKEN`")),
    }
}

fn correlation(headers: &HeaderMap) -> &str {
    let sent = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    sent.filter(|text| text.len() <= CORRELATION_BYTES_MAX).unwrap_or("")
}

fn check_role(role: Role, method: &Method, path: &str) -> Result<(), Problem> {
    let reads = reads(method);
    let is_of_tokens = path == "/api/v1/tokens" || path.starts_with("/api/v1/tokens/");
    let is_discarding = ["/api/v1/dead-letters/", "/api/v1/deliveries/"].iter().any(|of| path.starts_with(of))
        && path.ends_with("/discard");
    let is_of_webhooks = path == "/api/v1/webhooks" || path.starts_with("/api/v1/webhooks/");
    let is_of_the_house = ["/api/v1/system/accounts", "/api/v1/system/slots/move"].contains(&path) && !reads;
    let needs = match () {
        () if is_of_tokens || is_discarding || is_of_the_house || (is_of_webhooks && !reads) => Role::Admin,
        () if reads => Role::Auditor,
        () => Role::Teller,
    };
    let allowed = match needs {
        Role::Admin => role == Role::Admin,
        Role::Teller => role != Role::Auditor,
        Role::Auditor => true,
    };
    if allowed { Ok(()) } else { Err(forbidden(needs)) }
}

/// The caller's role is not enough.
pub(crate) fn forbidden(needs: Role) -> Problem {
    Problem::new(Code::Forbidden, format!("this needs a token with the role `{}`", needs.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn without_tokens_pages_of_other_sites_move_no_money() {
        let asks = |method: Method, origin: Option<&str>| {
            let request = Request::builder().method(method).uri("/deposit").header("host", "127.0.0.1:7878");
            let request = origin.iter().fold(request, |request, origin| request.header("origin", *origin));
            check_origin(&request.body(Body::empty()).expect("a request")).is_ok()
        };
        assert!(asks(Method::POST, None), "a client that is no browser");
        assert!(asks(Method::POST, Some("http://127.0.0.1:7878")), "the server's own page");
        assert!(asks(Method::GET, Some("http://evil.example")), "browsers do not show the answer to that page");
        for origin in ["http://evil.example", "http://127.0.0.1:80", "http://localhost:7878", "null", ""] {
            assert!(!asks(Method::POST, Some(origin)), "{origin}");
        }
    }

    #[test]
    fn without_tokens_the_bank_answers_to_names_of_loopback_only() {
        let asks = |uri: &str, hosts: &[&str]| {
            let request = Request::builder().uri(uri);
            let request = hosts.iter().fold(request, |request, host| request.header("host", *host));
            check_host(&request.body(Body::empty()).expect("a request")).is_ok()
        };
        assert!(asks("/balance/1", &[]), "a client of HTTP/1.0 sends no name");
        for own in ["127.0.0.1:7878", "127.9.9.9", "localhost", "LOCALHOST:80", "[::1]:7878", "[::1]"] {
            assert!(asks("/balance/1", &[own]), "{own}");
            assert!(asks(&format!("http://{own}/balance/1"), &[]), "{own}, as HTTP/2 says it");
        }
        let others = ["evil.example:7878", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", ""];
        for other in others {
            assert!(!asks("/balance/1", &[other]), "{other}");
            assert!(!asks("/balance/1", &["127.0.0.1", other]), "{other}");
        }
        assert!(!asks("http://evil.example/balance/1", &["127.0.0.1"]));
    }

    #[test]
    fn roles_may_do_what_the_contract_says() {
        let table = [
            (Method::GET, "/api/v1/accounts/1", "auditor"),
            (Method::POST, "/api/v1/transfers", "teller"),
            (Method::PATCH, "/api/v1/users/1", "teller"),
            (Method::POST, "/api/v1/dead-letters/1/redrive", "teller"),
            (Method::POST, "/api/v1/dead-letters/1/discard", "admin"),
            (Method::POST, "/api/v1/system/accounts", "admin"),
            (Method::POST, "/api/v1/system/slots/move", "admin"),
            (Method::GET, "/api/v1/system/shards", "auditor"),
            (Method::GET, "/api/v1/tokens", "admin"),
            (Method::DELETE, "/api/v1/tokens/1", "admin"),
            (Method::GET, "/api/v1/webhooks", "auditor"),
            (Method::POST, "/api/v1/webhooks", "admin"),
            (Method::POST, "/api/v1/webhooks/0123456789abcdef/rotate", "admin"),
            (Method::DELETE, "/api/v1/webhooks/0123456789abcdef", "admin"),
            (Method::POST, "/api/v1/deliveries/1/redrive", "teller"),
            (Method::POST, "/api/v1/deliveries/1/discard", "admin"),
            (Method::PUT, "/api/v1/users/1/preferences", "teller"),
            (Method::POST, "/deposit", "teller"),
        ];
        for (method, path, least) in table {
            let may = |role| check_role(role, &method, path).is_ok();
            assert!(may(Role::Admin), "{path}");
            assert_eq!(may(Role::Teller), least != "admin", "{path}");
            assert_eq!(may(Role::Auditor), least == "auditor", "{path}");
        }
    }
}

//! The OpenAPI document, generated from the handlers, and a page that shows it without any network.

use crate::answer::with_type;
use crate::router::documented;
use crate::schema;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use std::sync::OnceLock;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema, ToSchema};

/// RapiDoc 9.3.8, see the licence beside it.
static RAPIDOC: &[u8] = include_bytes!("../assets/vendor/rapidoc-9.3.8.min.js");

const PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width\">\n<title>Florin: the interface</title>\n\
<script type=\"module\" src=\"/docs/rapidoc.js\"></script>\n</head>\n<body>\n\
<rapi-doc spec-url=\"/openapi.json\" load-fonts=\"false\" show-header=\"false\" render-style=\"read\" theme=\"light\">\n\
<noscript><p>This page needs its script. The same is at <a href=\"/openapi.json\">/openapi.json</a>.</p></noscript>\n\
</rapi-doc>\n</body>\n</html>\n";

/// RapiDoc styles its parts inline; scripts come from here alone.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the document says beside its routes.
pub(crate) fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Florin")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A bank's transactions: users, accounts, transfers, holds, events. Exactly once, in real time.",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .schema(schema::Problem::name(), schema::Problem::schema())
        .responses_from_iter(schema::Errors::components())
        .security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
        .build();
    let bearer = SecurityRequirement::new("bearer", Vec::<String>::new());
    OpenApiBuilder::new().info(info).components(Some(components)).security(Some([bearer])).build()
}

/// The OpenAPI document, version 3.1, as it is served.
///
/// # Panics
/// Never: the document is the same in every process and a test writes it.
pub fn openapi_json() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let (_, document) = documented().split_for_parts();
        document.to_pretty_json().expect("the document consists of strings, numbers and lists")
    })
}

pub(crate) async fn document() -> Response<Body> {
    with_type(200, "application/json", Body::from(openapi_json()))
}

/// What somebody sees who asks for the address alone.
const WELCOME: &str = "Florin, a bank's transaction system.\n\n\
/docs          the interface, to read and try\n\
/openapi.json  the same for programs\n\
/health/ready  whether the bank serves\n\
/metrics       counters for Prometheus\n";

pub(crate) async fn welcome() -> Response<Body> {
    with_type(200, "text/plain; charset=utf-8", Body::from(WELCOME))
}

pub(crate) async fn page() -> Response<Body> {
    let mut response = with_type(200, "text/html; charset=utf-8", Body::from(PAGE));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

pub(crate) async fn script() -> Response<Body> {
    let mut response = with_type(200, "text/javascript; charset=utf-8", Body::from(RAPIDOC));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

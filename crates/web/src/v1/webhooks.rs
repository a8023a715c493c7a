//! Endpoints of webhooks: other systems that are told of events.

use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, document, fields, short_string};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::notifications as shapes;
use crate::v1::preferences::{check_url, kinds_of, nothing, settings};
use bank::notification::endpoint::{ENDPOINTS_MAX, Endpoint};

/// Longest URL in bytes.
const URL_BYTES_MAX: usize = 2048;

fn shown(endpoint: Endpoint, secret: Option<String>) -> shapes::Webhook {
    shapes::Webhook {
        webhook_id: endpoint.id,
        url: endpoint.url,
        kinds: endpoint.kinds.map(|kinds| kinds.iter().map(|kind| kind.name()).collect()),
        enabled: endpoint.is_enabled,
        secrets: endpoint.secrets,
        created_at: endpoint.created_at.to_string(),
        secret,
    }
}

fn not_found(id: &str) -> Problem {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    Problem::new(Code::WebhookNotFound, format!("there is no webhook {id}"))
}

/// The id in the path: what cannot be one leads to nothing.
fn id_of(text: &str) -> Result<&str, Problem> {
    let is_id = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(text) } else { Err(not_found(text)) }
}

/// Makes an endpoint, which is told of what happens from now on. Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "notifications", request_body = shapes::NewWebhook,
    responses((status = 201, description = "The endpoint with its secret.", body = shapes::Webhook), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [url, kinds] = fields(document.root(), ["url", "kinds"], &mut problems);
    problems.required("url", url);
    let url = short_string("url", url, URL_BYTES_MAX, &mut problems);
    let kinds = kinds_of(kinds, &mut problems);
    let is_private_welcome = settings(&call.app).is_ok_and(|settings| settings.allow_private_webhooks);
    let url = url.filter(|url| problems.keep(check_url("url", url, is_private_welcome)).is_some());
    let Some(url) = url else { return Err(problems.into_problem()) };
    problems.check()?;
    let made = settings(&call.app)?.notifications.add_endpoint(&url, kinds).await?;
    let full =
        || Problem::new(Code::LimitExceeded, format!("a bank has at most {ENDPOINTS_MAX} webhooks; remove one first"));
    let made = made.ok_or_else(full)?;
    serialised(201, &shown(made.endpoint, Some(made.secret)))
}

/// All endpoints.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "notifications",
    responses((status = 200, description = "The endpoints.", body = shapes::Webhooks), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let endpoints = settings(&call.app)?.notifications.endpoints().await?;
    serialised(200, &shapes::Webhooks { items: endpoints.into_iter().map(|endpoint| shown(endpoint, None)).collect() })
}

/// An endpoint.
#[utoipa::path(get, path = "/api/v1/webhooks/{webhook_id}", tag = "notifications",
    params(("webhook_id" = String, Path, description = "The endpoint.")),
    responses((status = 200, description = "The endpoint.", body = shapes::Webhook), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let id = id_of(call.path_value("webhook_id"))?;
    let endpoint = settings(&call.app)?.notifications.endpoint(id).await?;
    serialised(200, &shown(endpoint.ok_or_else(|| not_found(id))?, None))
}

/// Removes an endpoint: it is told nothing more.
#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook_id}", tag = "notifications",
    params(("webhook_id" = String, Path, description = "The endpoint.")),
    responses((status = 204, description = "It is removed, or was."), schema::Errors))]
pub(crate) async fn remove(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    if let Ok(id) = id_of(call.path_value("webhook_id")) {
        settings(&call.app)?.notifications.remove_endpoint(id).await?;
    }
    Ok(nothing())
}

/// Gives an endpoint a new secret. The one before goes on signing beside it for a day.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook_id}/rotate", tag = "notifications",
    params(("webhook_id" = String, Path, description = "The endpoint.")), request_body(content = Option<schema::Nothing>),
    responses((status = 200, description = "The endpoint with its new secret.", body = shapes::Webhook), schema::Errors))]
pub(crate) async fn rotate(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    fields(document.root(), [], &mut problems);
    problems.check()?;
    let id = id_of(call.path_value("webhook_id"))?;
    let rotated = settings(&call.app)?.notifications.rotate_secret(id).await?;
    let rotated = rotated.ok_or_else(|| not_found(id))?;
    serialised(200, &shown(rotated.endpoint, Some(rotated.secret)))
}

/// Tells an endpoint again that had said that it was gone.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook_id}/enable", tag = "notifications",
    params(("webhook_id" = String, Path, description = "The endpoint.")), request_body(content = Option<schema::Nothing>),
    responses((status = 200, description = "The endpoint.", body = shapes::Webhook), schema::Errors))]
pub(crate) async fn enable(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    fields(document.root(), [], &mut problems);
    problems.check()?;
    let id = id_of(call.path_value("webhook_id"))?;
    let enabled = settings(&call.app)?.notifications.enable_endpoint(id).await?;
    serialised(200, &shown(enabled.ok_or_else(|| not_found(id))?, None))
}

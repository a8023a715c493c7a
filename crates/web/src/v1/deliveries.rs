//! Deliveries: what was sent to whom, what waits, and what failed until a person decides.

use crate::answer::{Reply, serialised};
use crate::call::{Ask, LIMIT_DEFAULT, PageAsked, Parameters, Read};
use crate::input::{Problems, document, fields, short_string};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::notifications as shapes;
use crate::v1::preferences::settings;
use crate::v1::users::find;
use bank::notification::delivery::{Delivery, State, is_id};
use bank::notification::desk::{Decision, DeliveryQuery};
use bank::notification::sender::shown_facts;
use ledger::ids::CustomerId;
use ledger::time::Timestamp;

/// Longest reason of a discard in bytes.
const REASON_BYTES_MAX: usize = 512;
/// Half of the digits of an id, which is what a position of a cursor holds.
const HALF: usize = 16;

fn shown(delivery: &Delivery) -> shapes::Delivery {
    let time = |us| Timestamp::from_microseconds(us).unwrap_or(Timestamp::MAX).to_string();
    let is_waiting = delivery.state == State::Waiting;
    shapes::Delivery {
        delivery_id: delivery.id.clone(),
        user_id: delivery.customer.to_string(),
        channel: delivery.channel.name(),
        webhook_id: delivery.endpoint.clone(),
        device_id: delivery.device.clone(),
        kind: delivery.kind.name(),
        status: delivery.state.name(),
        attempts: delivery.attempts,
        code: delivery.code.clone(),
        provider_id: delivery.provider_id.clone(),
        follows: delivery.follows.clone(),
        reason: delivery.reason.clone(),
        journal: (delivery.sequence != 0).then(|| format!("{}-{}", delivery.shard, delivery.sequence)),
        booked_at: time(delivery.booked_us),
        due_at: is_waiting.then(|| time(delivery.due_us)),
        changed_at: time(delivery.changed_us),
        data: shown_facts(delivery),
    }
}

fn status_of(parameters: &Parameters, problems: &mut Problems) -> Option<State> {
    parameters.word("status", &State::ALL.map(|state| (state.name(), state)), problems)
}

/// An id has as many digits as two positions of a cursor.
fn position(asked: &PageAsked) -> Option<String> {
    let positions = asked.from.as_ref()?;
    match positions[..] {
        [Some(high), Some(low)] => Some(format!("{high:016x}{low:016x}")),
        _ => None,
    }
}

async fn page(call: &Read, customer: Option<CustomerId>, state: Option<State>, asked: PageAsked) -> Reply {
    let query = DeliveryQuery { customer, state, after: position(&asked), limit: asked.limit };
    let found = settings(&call.app)?.notifications.deliveries_of(&query).await?;
    let half = |text: &str| u64::from_str_radix(text, 16).ok();
    let next = found.next.filter(|id| is_id(id)).map(|id| vec![half(&id[..HALF]), half(&id[HALF..])]);
    let next_cursor = asked.next(next.as_ref());
    serialised(200, &shapes::Deliveries { items: found.items.iter().map(shown).collect(), next_cursor })
}

/// Deliveries, the newest first.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "notifications", params(schema::parameters::Page, shapes::DeliveryFilter),
    responses((status = 200, description = "A page of deliveries.", body = shapes::Deliveries), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor", "status"], &mut problems);
    let state = status_of(&parameters, &mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    problems.check()?;
    page(&call, None, state, asked).await
}

/// The deliveries for, or about, a user, the newest first.
#[utoipa::path(get, path = "/api/v1/users/{user_id}/deliveries", tag = "notifications",
    params(("user_id" = schema::Id, Path, description = "The user."), schema::parameters::Page, shapes::DeliveryFilter),
    responses((status = 200, description = "A page of deliveries.", body = shapes::Deliveries), schema::Errors))]
pub(crate) async fn list_of_user(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor", "status"], &mut problems);
    let state = status_of(&parameters, &mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    let id: Option<CustomerId> = call.path_id("user_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, id).await?;
    page(&call, Some(id), state, asked).await
}

fn not_found(id: &str) -> Problem {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    Problem::new(Code::DeliveryNotFound, format!("there is no delivery {id}; older ones are not kept"))
}

fn id_of(text: &str) -> Result<&str, Problem> {
    if is_id(text) { Ok(text) } else { Err(not_found(text)) }
}

/// A delivery.
#[utoipa::path(get, path = "/api/v1/deliveries/{delivery_id}", tag = "notifications",
    params(("delivery_id" = String, Path, description = "The delivery.")),
    responses((status = 200, description = "The delivery.", body = shapes::Delivery), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    problems.check()?;
    let id = id_of(call.path_value("delivery_id"))?;
    let delivery = settings(&call.app)?.notifications.delivery(id).await?;
    serialised(200, &shown(&delivery.ok_or_else(|| not_found(id))?))
}

/// Sends a delivery that failed again, with the same id. One that did not fail stays as it is.
#[utoipa::path(post, path = "/api/v1/deliveries/{delivery_id}/redrive", tag = "notifications",
    params(("delivery_id" = String, Path, description = "The delivery.")), request_body(content = Option<schema::Nothing>),
    responses((status = 200, description = "The delivery as it then is.", body = shapes::Delivery), schema::Errors))]
pub(crate) async fn redrive(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    fields(document.root(), [], &mut problems);
    problems.check()?;
    decide(&call, &Decision::Redrive).await
}

/// Decides that a delivery that failed, or waits, shall not be sent.
#[utoipa::path(post, path = "/api/v1/deliveries/{delivery_id}/discard", tag = "notifications",
    params(("delivery_id" = String, Path, description = "The delivery.")), request_body = schema::requests::Discard,
    responses((status = 200, description = "The delivery as it then is.", body = shapes::Delivery), schema::Errors))]
pub(crate) async fn discard(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [reason] = fields(document.root(), ["reason"], &mut problems);
    problems.required("reason", reason);
    let reason = short_string("reason", reason, REASON_BYTES_MAX, &mut problems);
    let Some(reason) = reason else { return Err(problems.into_problem()) };
    problems.check()?;
    decide(&call, &Decision::Discard(reason.into_owned())).await
}

async fn decide(call: &Ask, decision: &Decision) -> Reply {
    let id = id_of(call.path_value("delivery_id"))?;
    let decided = settings(&call.app)?.notifications.decide(id, decision).await?;
    serialised(200, &shown(&decided.ok_or_else(|| not_found(id))?))
}

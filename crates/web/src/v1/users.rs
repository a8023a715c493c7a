//! Users: the bank's customers, as far as the caller may see them.

use crate::App;
use crate::answer::{Effect, Reply, effect, fingerprint, marked, serialised, unexpected_event};
use crate::call::{Ask, LIMIT_DEFAULT, Read};
use crate::input::{Problems, document, fields, id, string};
use crate::json::Value;
use crate::problem::{Code, Problem};
use crate::schema;
use bank::profile::PlainProfile;
use bank::submit::ClientKey;
use ledger::customer::{Customer, ProfileField};
use ledger::event::Event;
use ledger::ids::{CLIENT_ID_END, CustomerId};
use ledger::time::Day;
use store::Answer;

/// Registers a user.
#[utoipa::path(post, path = "/api/v1/users", tag = "users", params(schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::NewUser,
    responses((status = 201, description = "The user.", body = schema::answers::User), schema::Errors))]
pub(crate) async fn create(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["name", "date_of_birth", "national_id", "email", "phone", "locale", "user_id"];
    let [name, date_of_birth, national_id, email, phone, locale, user] = fields(document.root(), names, &mut problems);
    problems.required("name", name);
    let user: Option<CustomerId> = id("user_id", user, &mut problems);
    if user.is_some_and(|id| CLIENT_ID_END <= id.number()) {
        problems.note(Problem::malformed("`user_id`: an id that you choose must be below 2^62"));
    }
    let values = [name, date_of_birth, national_id, email, phone, locale];
    let profile = profile(values, call.app.bank().now().day(), &mut problems);
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "POST /users", &[], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().register_user(&call.caller, key, user, &profile).await?;
    user_answer(&call.app, &answer, 201).await
}

/// The fields in the order of [`ProfileField::ALL`].
fn profile(values: [Option<Value<'_>>; 6], today: Day, problems: &mut Problems) -> PlainProfile {
    let mut profile = PlainProfile::default();
    for (field, value) in ProfileField::ALL.into_iter().zip(values) {
        if let Some(text) = string(field.name(), value, problems)
            && let Err(error) = profile.set(field, &text, today)
        {
            problems.note(error.into());
        }
    }
    profile
}

async fn user_answer(app: &App, answer: &Answer, status: u16) -> Reply {
    let Effect { event: Event::CustomerChanged(changed), header } = (match effect(answer) {
        Ok(effect) => effect,
        Err(problem) => return Ok(super::transfers::problem_answer(problem, answer)),
    }) else {
        return Err(unexpected_event());
    };
    // Age as of the entry, so that a replayed answer is the first one whatever the day.
    let day = header.map_or_else(|| app.bank().now().day(), |header| header.time.day());
    let user = user(app, &changed.customer, day).await?;
    Ok(marked(serialised(status, &user)?, matches!(answer, Answer::Replayed(_))))
}

async fn user(app: &App, customer: &Customer, today: Day) -> Result<schema::answers::User, Problem> {
    let profile = app.bank().open_profile(customer).await?;
    let text = |field| profile.get(field).map(str::to_string);
    Ok(schema::answers::User {
        user_id: customer.id.to_string(),
        name: text(ProfileField::Name),
        date_of_birth: text(ProfileField::DateOfBirth),
        age: profile.age(today),
        national_id: profile.masked_national_id(),
        email: text(ProfileField::Email),
        phone: text(ProfileField::Phone),
        locale: text(ProfileField::Locale),
        created_at: customer.created_at.to_string(),
    })
}

/// A user that must be there.
///
/// # Errors
/// `user_not_found`, or a fault.
pub(crate) async fn find(app: &App, id: CustomerId) -> Result<Customer, Problem> {
    let customer = app.bank().user(id).await?;
    customer.ok_or_else(|| Problem::not_found(Code::UserNotFound, "user_id", id.number()))
}

/// A user as it is now.
#[utoipa::path(get, path = "/api/v1/users/{user_id}", tag = "users",
    params(("user_id" = schema::Id, Path, description = "The user.")),
    responses((status = 200, description = "The user.", body = schema::answers::User), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<CustomerId> = call.path_id("user_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let customer = find(&call.app, id).await?;
    serialised(200, &user(&call.app, &customer, call.app.bank().now().day()).await?)
}

/// Users, newest first.
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(schema::parameters::Page),
    responses((status = 200, description = "A page of users.", body = schema::answers::Users), schema::Errors))]
pub(crate) async fn list(call: Read) -> Reply {
    let mut problems = Problems::none();
    let parameters = call.parameters(&["limit", "cursor"], &mut problems);
    let asked = call.page(&parameters, LIMIT_DEFAULT, &mut problems);
    problems.check()?;
    let merged = call.app.bank().users(asked.limit, asked.from.as_ref()).await?;
    let today = call.app.bank().now().day();
    let mut items = Vec::with_capacity(merged.items.len());
    for customer in &merged.items {
        items.push(user(&call.app, customer, today).await?);
    }
    serialised(200, &schema::answers::Users { items, next_cursor: asked.next(merged.next.as_ref()) })
}

/// Changes what is known of a user; what is not named stays.
#[utoipa::path(patch, path = "/api/v1/users/{user_id}", tag = "users",
    params(("user_id" = schema::Id, Path, description = "The user."), schema::parameters::OptionalIdempotencyKey),
    request_body = schema::requests::UserChange,
    responses((status = 200, description = "The user.", body = schema::answers::User), schema::Errors))]
pub(crate) async fn change(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let key = call.key(&mut problems);
    let id: Option<CustomerId> = call.path_id("user_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["name", "date_of_birth", "national_id", "email", "phone", "locale"];
    let values = fields(document.root(), names, &mut problems);
    let changes = profile(values, call.app.bank().now().day(), &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    let fingerprint = fingerprint(&call.app, "PATCH /users", &[id.number()], document.root());
    let key = key.as_deref().map(|text| ClientKey { text, fingerprint });
    let answer = call.app.bank().update_user(&call.caller, key, id, &changes).await?;
    user_answer(&call.app, &answer, 200).await
}

//! What customers want to hear of, and the devices they hear it on.

use crate::answer::{Reply, serialised};
use crate::call::{Ask, Read};
use crate::input::{Problems, amount_or_zero, amount_text, document, fields, short_string, string};
use crate::json::{Kind as Json, Value};
use crate::problem::{Code, Problem};
use crate::schema;
use crate::schema::notifications as shapes;
use crate::v1::users::find;
use crate::{App, NotificationSettings};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use bank::notification::device::{Added, DEVICES_MAX, Device, NotAdded, TOKEN_BYTES_MAX};
use bank::notification::kind::{Choice, Kind};
use bank::notification::outgoing::{Address, PushSubscription};
use bank::notification::preference::{Preference, QuietHours, clock};
use ledger::amount::Amount;
use ledger::currency::Currency;
use ledger::ids::CustomerId;
use std::collections::BTreeMap;
use url::Url;

/// Longest name of a time zone.
const ZONE_BYTES_MAX: usize = 64;

/// Notifications, where this server has them.
///
/// # Errors
/// `not_available_yet`.
pub(crate) fn settings(app: &App) -> Result<&NotificationSettings, Problem> {
    let settings = app.settings().notifications.as_ref();
    settings.ok_or_else(|| Problem::new(Code::NotAvailableYet, "this server has no notifications"))
}

/// The user that a call without parameters is about.
///
/// # Errors
/// `malformed` or `user_not_found`.
pub(crate) async fn whose(call: &Read) -> Result<CustomerId, Problem> {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<CustomerId> = call.path_id("user_id", &mut problems);
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, id).await?;
    Ok(id)
}

/// What a user wants to hear of.
#[utoipa::path(get, path = "/api/v1/users/{user_id}/preferences", tag = "notifications",
    params(("user_id" = schema::Id, Path, description = "The user.")),
    responses((status = 200, description = "The preferences.", body = shapes::Preferences), schema::Errors))]
pub(crate) async fn read(call: Read) -> Reply {
    let id = whose(&call).await?;
    serialised(200, &shown(id, &settings(&call.app)?.notifications.preference(id).await?))
}

fn shown(id: CustomerId, preference: &Preference) -> shapes::Preferences {
    let amounts = |of: &BTreeMap<String, u64>| {
        let decimal = |(currency, amount): (&String, &u64)| {
            let scale = currency.parse().map_or(0, Currency::scale);
            let amount = Amount::new(*amount).unwrap_or(Amount::ZERO);
            (currency.clone(), amount.decimal(scale).to_string())
        };
        of.iter().map(decimal).collect()
    };
    shapes::Preferences {
        user_id: id.to_string(),
        channels: preference.channels.iter().map(|choice| choice.name()).collect(),
        kinds: preference.kinds.as_ref().map(|kinds| kinds.iter().map(|kind| kind.name()).collect()),
        minimum_amounts: amounts(&preference.minimum_amounts),
        low_balance: amounts(&preference.low_balance),
        quiet_hours: preference.quiet_hours.as_ref().map(|hours| shapes::QuietHours {
            from: clock(hours.from),
            until: clock(hours.until),
            time_zone: hours.time_zone.clone(),
        }),
    }
}

/// Sets what a user wants to hear of, in place of what was set before.
#[utoipa::path(put, path = "/api/v1/users/{user_id}/preferences", tag = "notifications",
    params(("user_id" = schema::Id, Path, description = "The user.")), request_body = shapes::NewPreferences,
    responses((status = 200, description = "The preferences.", body = shapes::Preferences), schema::Errors))]
pub(crate) async fn replace(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<CustomerId> = call.path_id("user_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let names = ["channels", "kinds", "minimum_amounts", "low_balance", "quiet_hours"];
    let [channels, kinds, minimum_amounts, low_balance, hours] = fields(document.root(), names, &mut problems);
    let choices: Vec<_> = Choice::ALL.iter().map(|choice| (choice.name(), *choice)).collect();
    let channels = words("channels", channels, &choices, &mut problems);
    let preference = Preference {
        channels: channels.unwrap_or_else(|| Preference::default().channels),
        kinds: kinds_of(kinds, &mut problems),
        minimum_amounts: amounts("minimum_amounts", minimum_amounts, &mut problems),
        low_balance: amounts("low_balance", low_balance, &mut problems),
        quiet_hours: quiet_hours(hours, &mut problems),
    };
    let Some(id) = id else { return Err(problems.into_problem()) };
    problems.check()?;
    find(&call.app, id).await?;
    settings(&call.app)?.notifications.set_preference(id, &preference).await?;
    serialised(200, &shown(id, &preference))
}

/// Kinds of messages, each once.
pub(crate) fn kinds_of(value: Option<Value<'_>>, problems: &mut Problems) -> Option<Vec<Kind>> {
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
    words("kinds", value, &kinds, problems)
}

fn words<T: Copy + PartialEq>(
    name: &str,
    value: Option<Value<'_>>,
    known: &[(&str, T)],
    problems: &mut Problems,
) -> Option<Vec<T>> {
    let value = value?;
    if value.kind() != Json::Array {
        problems.note(Problem::malformed(format!("`{name}` must be a list")));
        return None;
    }
    let mut found = Vec::new();
    for item in value.items() {
        if let Some(word) = crate::input::word(name, Some(item), known, problems)
            && !found.contains(&word)
        {
            found.push(word);
        }
    }
    Some(found)
}

fn amounts(name: &str, value: Option<Value<'_>>, problems: &mut Problems) -> BTreeMap<String, u64> {
    let Some(value) = value else { return BTreeMap::new() };
    if value.kind() != Json::Object {
        problems.note(Problem::malformed(format!("`{name}` must be an object of amounts by currency")));
    }
    let mut amounts = BTreeMap::new();
    for (code, value) in value.fields() {
        let unknown = |_| Problem::new(Code::CurrencyUnknown, format!("`{name}`: use codes of ISO 4217 such as EUR"));
        let Some(currency) = problems.keep(code.parse::<Currency>().map_err(unknown)) else { continue };
        let text = amount_text(name, Some(value), problems);
        let amount = text.and_then(|text| amount_or_zero(name, &text, Some(currency), problems));
        amounts.extend(amount.map(|amount| (currency.code().to_owned(), amount.minor_units())));
    }
    amounts
}

fn quiet_hours(value: Option<Value<'_>>, problems: &mut Problems) -> Option<QuietHours> {
    let [from, until, zone] = fields(value?, ["from", "until", "time_zone"], problems);
    for (name, value) in [("from", from), ("until", until), ("time_zone", zone)] {
        problems.required(name, value);
    }
    let from = string("from", from, problems)?;
    let until = string("until", until, problems)?;
    let zone = short_string("time_zone", zone, ZONE_BYTES_MAX, problems)?;
    let hours = QuietHours::new(&from, &until, &zone);
    let wrong =
        "`quiet_hours` has two different times such as 22:00 and 07:00, and a `time_zone` such as Europe/Prague";
    problems.keep(hours.ok_or_else(|| Problem::malformed(wrong)))
}

/// The devices of a user.
#[utoipa::path(get, path = "/api/v1/users/{user_id}/devices", tag = "notifications",
    params(("user_id" = schema::Id, Path, description = "The user.")),
    responses((status = 200, description = "The devices.", body = shapes::Devices), schema::Errors))]
pub(crate) async fn devices(call: Read) -> Reply {
    let id = whose(&call).await?;
    let settings = settings(&call.app)?;
    let items = settings.notifications.devices(id).await?.iter().map(device).collect();
    serialised(200, &shapes::Devices { items, web_push_key: settings.web_push_key.clone() })
}

fn device(device: &Device) -> shapes::Device {
    shapes::Device {
        device_id: device.id.clone(),
        channel: device.channel.name(),
        created_at: device.created_at.to_string(),
    }
}

/// Registers a device of a user for push messages; one that is registered stays as it is.
#[utoipa::path(post, path = "/api/v1/users/{user_id}/devices", tag = "notifications",
    params(("user_id" = schema::Id, Path, description = "The user.")), request_body = shapes::NewDevice,
    responses((status = 201, description = "The device.", body = shapes::Device), schema::Errors))]
pub(crate) async fn add_device(call: Ask) -> Reply {
    let mut problems = Problems::none();
    call.parameters(&[], &mut problems);
    let id: Option<CustomerId> = call.path_id("user_id", &mut problems);
    let Some(document) = problems.keep(document(&call.body)) else { return Err(problems.into_problem()) };
    let [token, subscription] = fields(document.root(), ["fcm_token", "web_push"], &mut problems);
    let address = match (token, subscription) {
        (Some(token), None) => {
            let token = short_string("fcm_token", Some(token), TOKEN_BYTES_MAX, &mut problems);
            let is_token = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            let wrong = || Problem::malformed("`fcm_token` must be visible ASCII characters");
            token.and_then(|token| {
                let token = is_token(&token).then(|| Address::Fcm(token.into_owned()));
                problems.keep(token.ok_or_else(wrong))
            })
        }
        (None, Some(subscription)) => web_push(&call.app, subscription, &mut problems),
        _ => {
            problems.note(Problem::malformed("send either `fcm_token` or `web_push`"));
            None
        }
    };
    let (Some(id), Some(address)) = (id, address) else { return Err(problems.into_problem()) };
    problems.check()?;
    let customer = find(&call.app, id).await?;
    match settings(&call.app)?.notifications.add_device(&customer, &address).await? {
        Added::Yes(added) => serialised(201, &device(&added)),
        Added::No(NotAdded::Full) => {
            let full = format!("a user has at most {DEVICES_MAX} devices; remove one first");
            Err(Problem::new(Code::LimitExceeded, full))
        }
        Added::No(NotAdded::Erased) => Err(Problem::new(Code::UserNotFound, format!("user {id} was erased"))),
        Added::No(NotAdded::NoDevice) => Err(Problem::malformed("this is the address of no device")),
    }
}

fn web_push(app: &App, value: Value<'_>, problems: &mut Problems) -> Option<Address> {
    let [endpoint, _, keys] = fields(value, ["endpoint", "expirationTime", "keys"], problems);
    problems.required("endpoint", endpoint);
    problems.required("keys", keys);
    let endpoint = short_string("endpoint", endpoint, TOKEN_BYTES_MAX, problems)?;
    let [p256dh, auth] = fields(keys?, ["p256dh", "auth"], problems);
    problems.required("p256dh", p256dh);
    problems.required("auth", auth);
    let p256dh = short_string("p256dh", p256dh, TOKEN_BYTES_MAX, problems)?;
    let auth = short_string("auth", auth, TOKEN_BYTES_MAX, problems)?;
    let is_private_welcome = settings(app).is_ok_and(|settings| settings.allow_private_push);
    problems.keep(check_url("endpoint", &endpoint, is_private_welcome))?;
    let wrong = || Problem::malformed("`keys` must have a point of P-256 and 16 bytes, in base64url");
    let subscription = PushSubscription::new(&endpoint, &p256dh, &auth);
    problems.keep(subscription.ok_or_else(wrong)).map(Address::WebPush)
}

/// Whether a URL that somebody chose may be asked by the bank. What its name leads to is looked at when it is asked.
///
/// # Errors
/// `malformed`.
pub(crate) fn check_url(name: &str, url: &str, is_private_welcome: bool) -> Result<(), Problem> {
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    // As whoever asks it later reads it, and only what is written as it is read: no tricks with slashes.
    let is_fine = |read: &Url| {
        let is_welcome = read.scheme() == "https" || (read.scheme() == "http" && is_private_welcome);
        let is_whole = url.get(..read.scheme().len() + 3) == Some(&format!("{}://", read.scheme()));
        let authority = url.split('/').nth(2).unwrap_or_default();
        is_welcome
            && is_whole
            && read.has_host()
            && !authority.is_empty()
            && !authority.contains('@')
            && read.port() != Some(0)
    };
    match Url::parse(url) {
        Ok(read) if is_plain && is_fine(&read) => Ok(()),
        _ => Err(Problem::malformed(format!("`{name}` must be an https:// URL without a user"))),
    }
}

/// Forgets a device of a user.
#[utoipa::path(delete, path = "/api/v1/users/{user_id}/devices/{device_id}", tag = "notifications",
    params(("user_id" = schema::Id, Path, description = "The user."),
        ("device_id" = String, Path, description = "The device.")),
    responses((status = 204, description = "It is forgotten, or was."), schema::Errors))]
pub(crate) async fn remove_device(call: Read) -> Reply {
    let id = whose(&call).await?;
    let device = call.path_value("device_id");
    if !device.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(nothing());
    }
    settings(&call.app)?.notifications.remove_device(id, device).await?;
    Ok(nothing())
}

/// 204.
pub(crate) fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reads_as_a_url_may_be_asked() {
        for fine in ["https://hooks.example/", "https://hooks.example:8443/a?b=c", "https://[2606:4700::1111]/"] {
            assert!(check_url("url", fine, false).is_ok(), "{fine}");
        }
        for wrong in [
            "https://hooks.example:99999/",
            "https://hooks.example:0/",
            "https://[::1/",
            "https://:443/",
            "https:///hooks.example/",
            "https:/hooks.example/",
            "https://a..%00.example/",
            "https://user@hooks.example/",
            "https://@hooks.example/",
            "https://hooks.example/\u{e9}",
            "http://hooks.example/",
        ] {
            assert!(check_url("url", wrong, false).is_err(), "{wrong}");
        }
        assert!(check_url("url", "http://127.0.0.1:8080/", true).is_ok());
    }
}

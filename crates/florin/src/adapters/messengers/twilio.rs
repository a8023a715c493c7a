//! SMS and WhatsApp by Twilio's REST API: `POST /2010-04-01/Accounts/{sid}/Messages.json`.
//!
//! Twilio documents no key by which it would know a message that it got before. So a message whose answer was lost may be
//! sent twice.

use super::http::{Answer, ask, build, client};
use super::names::Names;
use crate::config;
use crate::failure::Failure;
use bank::notification::kind::Channel;
use bank::notification::outgoing::{Accepted, Address, Outgoing, SendFailure};
use bank::ports::{Boxed, Messenger};
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Longest text of a message in characters, as Twilio takes it.
const TEXT_CHARACTERS_MAX: usize = 1600;
/// What Twilio calls too many requests, in whatever status.
const TOO_MANY: [u32; 3] = [14107, 20429, 63018];
/// What Twilio calls its own or our account's trouble, which is no fault of the number: the account, and from 21212 on the number,
/// messaging service or channel that messages are from. The codes here and below are those of Twilio's dictionary,
/// <https://www.twilio.com/docs/api/errors>.
const OF_ACCOUNT: [u32; 13] =
    [20003, 20005, 20404, 30002, 21212, 21601, 21603, 21660, 21661, 21701, 21703, 21705, 63007];
/// What Twilio says where our number is none to send from, or none to send from to that country: which one is not told. So the
/// message is tried again, and what is for others goes on.
const NOT_FROM_HERE: [u32; 2] = [21606, 21659];
/// What Twilio says of a number that it cannot reach from ours.
const NOT_REACHED: u32 = 21612;

/// See the module.
pub(crate) struct Twilio {
    client: Client,
    url: String,
    account_sid: String,
    auth_token: String,
    from: String,
    is_whatsapp: bool,
    /// A template of WhatsApp whose only variable is the text: outside of 24 hours after a customer wrote nothing else may be
    /// sent.
    content_sid: Option<String>,
}

impl std::fmt::Debug for Twilio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Twilio").field("is_whatsapp", &self.is_whatsapp).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    sid: Option<String>,
    code: Option<u32>,
}

impl Twilio {
    /// SMS or WhatsApp from this number, or messaging service, as it is configured.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn new(
        config: &config::Twilio,
        from: &str,
        channel: Channel,
        timeout: Duration,
    ) -> Result<Twilio, Failure> {
        let missing = |key: &str| Failure::usage(format!("{key} is missing"), "see docs/notifications.md");
        let account_sid = config.account_sid.clone().ok_or_else(|| missing("twilio.account_sid"))?;
        let file = config.auth_token_file.as_deref().ok_or_else(|| missing("twilio.auth_token_file"))?;
        Ok(Twilio {
            client: build(client(timeout).dns_resolver(Arc::new(Names::new())))?,
            url: config.url.trim_end_matches('/').to_owned(),
            account_sid,
            auth_token: super::read_secret("twilio.auth_token_file", file)?,
            from: from.to_owned(),
            is_whatsapp: channel == Channel::Whatsapp,
            content_sid: config.whatsapp_content_sid.clone().filter(|_| channel == Channel::Whatsapp),
        })
    }

    fn form(&self, to: &str, text: &str) -> Vec<(&'static str, String)> {
        let number = |number: &str| if self.is_whatsapp { format!("whatsapp:{number}") } else { number.to_owned() };
        let mut form = vec![("To", number(to))];
        match self.from.starts_with("MG") {
            true => form.push(("MessagingServiceSid", self.from.clone())),
            false => form.push(("From", number(&self.from))),
        }
        form.extend(content(self.content_sid.as_deref(), text));
        form
    }
}

/// A text as it is, or as the variable of a template.
fn content(template: Option<&str>, text: &str) -> Vec<(&'static str, String)> {
    let most = |text: &str| text.chars().take(TEXT_CHARACTERS_MAX).collect::<String>();
    match template {
        Some(template) => vec![
            ("ContentSid", template.to_owned()),
            ("ContentVariables", json!({"1": most(&one_line(text))}).to_string()),
        ],
        None => vec![("Body", most(text))],
    }
}

/// A text as a variable of WhatsApp may be, which has no line breaks, no tabs and no more than four spaces in a row.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A number in E.164: digits after a plus, without what people write between them.
fn e164(number: &str) -> Option<String> {
    // The zero in brackets is dialled within the country only.
    let number = number.replace("(0)", "");
    let international = match number.split_once('+') {
        Some((_, international)) => international,
        None => number.trim_start_matches([' ', '(']).strip_prefix("00")?,
    };
    let digits: String = international.chars().filter(char::is_ascii_digit).collect();
    (8..=15).contains(&digits.len()).then(|| format!("+{digits}"))
}

fn result(answer: &Answer) -> Result<Accepted, SendFailure> {
    let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status.is_success() {
        return Ok(Accepted::known_as(said.sid.as_deref()));
    }
    let status = answer.status.as_u16();
    let Some(code) = said.code else {
        return Err(match status {
            // Our account's trouble, not the message's.
            401 | 403 | 404 => SendFailure::of_provider(format!("http_{status}")),
            _ => answer.failure(),
        });
    };
    let word = format!("twilio_{code}");
    Err(match code {
        code if TOO_MANY.contains(&code) => SendFailure::SlowDown { code: word, after_us: answer.retry_after_us },
        code if OF_ACCOUNT.contains(&code) => SendFailure::of_provider(word),
        code if NOT_FROM_HERE.contains(&code) => SendFailure::later(word),
        NOT_REACHED => SendFailure::never(word),
        _ => match answer.failure() {
            SendFailure::SlowDown { after_us, .. } => SendFailure::SlowDown { code: word, after_us },
            SendFailure::Later { is_providers, .. } => SendFailure::Later { code: word, is_providers },
            SendFailure::Never { .. } if matches!(status, 401 | 403) => SendFailure::of_provider(word),
            SendFailure::Never { .. } => SendFailure::never(word),
        },
    })
}

impl Messenger for Twilio {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Boxed<'a, Result<Accepted, SendFailure>> {
        Box::pin(async move {
            let Address::Phone(number) = &outgoing.to else { return Err(SendFailure::never("address_invalid")) };
            let to = e164(number).ok_or_else(|| SendFailure::never("phone_not_international"))?;
            let url = format!("{}/2010-04-01/Accounts/{}/Messages.json", self.url, self.account_sid);
            let request = self.client.post(url).basic_auth(&self.account_sid, Some(&self.auth_token));
            let request = request.header("i-twilio-idempotency-token", &outgoing.id);
            result(&ask(request.form(&self.form(&to, &outgoing.text))).await?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_one_number_is_no_failure_of_the_provider_and_what_is_with_ours_is_no_messages() {
        let said = |code: u32| Answer {
            status: reqwest::StatusCode::BAD_REQUEST,
            retry_after_us: None,
            body: format!("{{\"code\":{code}}}").into_bytes(),
        };
        for code in [21606, 21659] {
            assert_eq!(result(&said(code)), Err(SendFailure::later(format!("twilio_{code}"))));
        }
        for code in [21211, 21610, 21612] {
            assert_eq!(result(&said(code)), Err(SendFailure::never(format!("twilio_{code}"))));
        }
        for code in [20003, 21212, 21660, 21701, 21703, 63007] {
            assert_eq!(result(&said(code)), Err(SendFailure::of_provider(format!("twilio_{code}"))));
        }
    }

    #[test]
    fn a_variable_of_whatsapp_is_one_line() {
        let text = "Paid in:\r\n\t5 €.\n\nBalance:      7 €.\n";
        let variables = ("ContentVariables", r#"{"1":"Paid in: 5 €. Balance: 7 €."}"#.to_owned());
        assert_eq!(content(Some("HX1"), text), [("ContentSid", "HX1".to_owned()), variables]);
        assert_eq!(content(None, text), [("Body", text.to_owned())], "what is no variable has its lines");
    }

    #[test]
    fn numbers_are_sent_as_twilio_wants_them() {
        assert_eq!(e164("+420 123 456 789").as_deref(), Some("+420123456789"));
        for number in [
            "00420/123-456-789",
            "(+420) 123 456 789",
            "(00420) 123456789",
            "+420 (0)123 456 789",
            "tel. +420123456789",
        ] {
            assert_eq!(e164(number).as_deref(), Some("+420123456789"), "{number}");
        }
        for number in ["123 456 789", "112", "+1", "+1234567890123456"] {
            assert_eq!(e164(number), None, "{number}");
        }
    }
}

//! E-mail over SMTP. A connection is used for one message at a time and goes back to the pool only after the server took
//! that message: one on which anything went wrong, or took too long, is closed, so that no answer is ever taken for another
//! message's.

use super::names::Names;
use crate::config;
use crate::config::SmtpTls;
use crate::failure::Failure;
use bank::notification::outgoing::{Accepted, Address, Outgoing, SendFailure};
use bank::ports::{Boxed, Messenger};
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::net::TcpStream;

/// What servers say about whoever sends, in the enhanced codes of RFC 3463 as IANA lists them: a sender's address that is none,
/// a password, a quota that is used up (Gmail's 5.4.5), a signature, SPF or reverse name that is wanted; and Exchange's for a
/// sender that may not send so. The plain 5.7.1 is not among them: it is said about receivers and contents as well.
const OF_SENDER: [&str; 17] = [
    "5.1.7", "5.1.8", "5.4.5", "5.7.8", "5.7.9", "5.7.20", "5.7.21", "5.7.22", "5.7.23", "5.7.24", "5.7.25", "5.7.26",
    "5.7.27", "5.7.57", "5.7.60", "5.7.64", "5.7.708",
];
/// An idle connection older than this is not used again: servers close them.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Smtp {
    host: String,
    port: u16,
    names: Names,
    tls: SmtpTls,
    parameters: TlsParameters,
    credentials: Option<Credentials>,
    from: String,
    timeout: Duration,
    idle_max: usize,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Smtp {
    /// Mail as it is configured.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn new(config: &config::Smtp, host: &str, timeout: Duration) -> Result<Smtp, Failure> {
        let wrong =
            |key: &str, what: &dyn std::fmt::Display, next: &str| Failure::usage(format!("{key}: {what}"), next);
        let from = config.from.as_deref().unwrap_or_default();
        from.parse::<Mailbox>().map_err(|error| {
            wrong("smtp.from", &error, "write whom mails are from, such as Example Bank <bank@bank.example>")
        })?;
        let mut parameters = TlsParameters::builder(host.to_owned());
        if let Some(path) = &config.ca_file {
            let next = "name a file of certificates in PEM";
            let pem = std::fs::read(path).map_err(|error| wrong("smtp.ca_file", &error, next))?;
            let certificate = Certificate::from_pem(&pem).map_err(|error| wrong("smtp.ca_file", &error, next))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        let parameters = parameters.build_rustls().map_err(|error| wrong("smtp", &error, "check smtp.host"))?;
        let credentials = match (&config.user, &config.password_file) {
            (Some(user), Some(file)) => {
                Some(Credentials::new(user.clone(), super::read_secret("smtp.password_file", file)?))
            }
            (None, None) => None,
            _ => {
                let next = "set both smtp.user and smtp.password_file, or none";
                return Err(Failure::usage("smtp has a user without a password, or the other way round", next));
            }
        };
        if credentials.is_some() && config.tls == SmtpTls::None && !crate::config::is_loopback(host) {
            let next = "set smtp.tls to starttls or tls";
            return Err(Failure::usage("smtp would send its password in clear", next));
        }
        let port = config.port.unwrap_or(match config.tls {
            SmtpTls::Starttls => 587,
            SmtpTls::Tls => 465,
            SmtpTls::None => 25,
        });
        Ok(Smtp {
            host: host.to_owned(),
            port,
            names: Names::new(),
            tls: config.tls,
            parameters,
            credentials,
            from: from.to_owned(),
            timeout,
            idle_max: config.concurrency,
            idle: Mutex::default(),
        })
    }

    #[expect(clippy::disallowed_methods, reason = "how long a connection was idle is no business of the bank's clock")]
    fn now() -> Instant {
        Instant::now()
    }

    fn idle_connection(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < IDLE_MAX);
        idle.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        if connection.has_broken() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.idle_max {
            idle.push((connection, Smtp::now()));
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendFailure> {
        let hello = ClientId::default();
        let found = self.names.look_up(&self.host).await.map_err(|_| SendFailure::of_provider("cannot_connect"))?;
        let addresses: Vec<SocketAddr> = found.iter().map(|found| SocketAddr::new(found.ip(), self.port)).collect();
        let addresses = addresses.as_slice();
        let connected = match self.tls {
            SmtpTls::Tls => {
                let tls = Some(self.parameters.clone());
                AsyncSmtpConnection::connect_tokio1(addresses, Some(self.timeout), &hello, tls, None).await
            }
            SmtpTls::Starttls | SmtpTls::None => {
                let unreachable = |_| SendFailure::of_provider("cannot_connect");
                let stream = TcpStream::connect(addresses).await.map_err(unreachable)?;
                // The end of a mail is written by itself: else it would wait until the server has acknowledged the rest, which
                // takes 40 ms where the server waits for more.
                stream.set_nodelay(true).map_err(unreachable)?;
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await
            }
        };
        let mut connection = connected.map_err(|error| at_connecting(&error))?;
        if self.tls == SmtpTls::Starttls {
            if !connection.can_starttls() {
                return Err(SendFailure::of_provider("smtp_no_starttls"));
            }
            let secured = connection.starttls(self.parameters.clone(), &hello).await;
            secured.map_err(|error| at_connecting(&error))?;
        }
        if let Some(credentials) = &self.credentials {
            let authenticated = connection.auth(DEFAULT_MECHANISMS, credentials).await;
            authenticated.map_err(|error| at_connecting(&error))?;
        }
        Ok(connection)
    }

    async fn deliver(&self, mail: &Message, to: &str) -> Result<Accepted, SendFailure> {
        let bytes = mail.formatted();
        if let Some(mut connection) = self.idle_connection() {
            match connection.send(mail.envelope(), &bytes).await {
                Ok(response) => return Ok(self.accepted(connection, &response, to)),
                Err(error) if error.status().is_some() => return Err(of_message(&error)),
                // The server closed it while it was idle. Had it taken the message, it gets it again with the same id.
                Err(_) => {}
            }
        }
        let mut connection = self.connect().await?;
        match connection.send(mail.envelope(), &bytes).await {
            Ok(response) => Ok(self.accepted(connection, &response, to)),
            Err(error) => Err(of_message(&error)),
        }
    }

    fn accepted(
        &self,
        connection: AsyncSmtpConnection,
        response: &lettre::transport::smtp::response::Response,
        to: &str,
    ) -> Accepted {
        self.keep(connection);
        Accepted::known_as(response.message().next().and_then(|line| queue_id(line, to)))
    }
}

/// What a server calls a message that it took: most say it somewhere in their answer, and it is of use to whoever looks into
/// their log. Never what may be, or be part of, somebody's address.
fn queue_id<'a>(said: &'a str, to: &str) -> Option<&'a str> {
    let words = said.split(|character: char| character.is_whitespace() || "<>()[]{}=,;:\"'".contains(character));
    let is_id = |word: &&str| {
        word.bytes().any(|byte| byte.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./+".contains(&byte))
            && !to.to_ascii_lowercase().contains(&word.to_ascii_lowercase())
    };
    words.filter(is_id).max_by_key(|word| word.len())
}

/// What goes wrong before a message is told is the server's failure, whatever its code.
fn at_connecting(error: &Error) -> SendFailure {
    match error.status() {
        Some(code) => SendFailure::of_provider(format!("smtp_{code}")),
        None if error.is_timeout() => SendFailure::of_provider("timeout"),
        None if error.is_tls() => SendFailure::of_provider("smtp_tls"),
        None => SendFailure::of_provider("cannot_connect"),
    }
}

fn of_message(error: &Error) -> SendFailure {
    let Some(status) = error.status() else {
        return match () {
            () if error.is_client() => SendFailure::never("smtp_unsupported"),
            () if error.is_timeout() => SendFailure::of_provider("timeout"),
            () => SendFailure::of_provider("connection_lost"),
        };
    };
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    answered(status.into(), said.split_whitespace().next().unwrap_or_default())
}

/// What an answer with this number means, and with this enhanced code, if it is one.
fn answered(number: u16, enhanced: &str) -> SendFailure {
    let code = format!("smtp_{number}");
    match number {
        // It is closing, or wants whoever sends to prove who they are: nothing about this message.
        421 | 454 | 530 | 534 | 535 | 538 => SendFailure::of_provider(code),
        // 452 among them: too many recipients, or too little room, of this message's server or mailbox.
        400..=499 => SendFailure::later(code),
        _ if OF_SENDER.contains(&enhanced) => SendFailure::of_provider(code),
        _ => SendFailure::never(code),
    }
}

/// A mail: plain text, and the same as HTML.
///
/// # Errors
/// The message alone, for an address that cannot be one.
pub(super) fn mail(outgoing: &Outgoing, to: &str, from: &str) -> Result<Message, SendFailure> {
    let from: Mailbox = from.parse().map_err(|_| SendFailure::of_provider("from_invalid"))?;
    let to = to.parse().map_err(|_| SendFailure::never("address_invalid"))?;
    let domain = from.email.domain().to_owned();
    let reference = |id: &str| format!("<{id}@{domain}>");
    let mut builder = Message::builder()
        .date(UNIX_EPOCH + Duration::from_micros(outgoing.now.microseconds()))
        .message_id(Some(reference(&outgoing.id)))
        .to(Mailbox::new(None, to))
        .from(from)
        .subject(outgoing.subject.clone());
    if let Some(first) = &outgoing.follows {
        builder = builder.in_reply_to(reference(first)).references(reference(first));
    }
    let html = format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{}</title></head><body><p>{}</p></body></html>\n",
        outgoing.language,
        escaped(&outgoing.subject),
        escaped(&outgoing.text).replace('\n', "<br>\n"),
    );
    let plain = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(format!("{}\n", outgoing.text));
    let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(html);
    let parts = MultiPart::alternative().singlepart(plain).singlepart(html);
    builder.multipart(parts).map_err(|_| SendFailure::never("address_invalid"))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

impl Messenger for Smtp {
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> Boxed<'a, Result<Accepted, SendFailure>> {
        Box::pin(async move {
            let Address::Email(to) = &outgoing.to else { return Err(SendFailure::never("address_invalid")) };
            let mail = mail(outgoing, to, &self.from)?;
            match tokio::time::timeout(self.timeout, self.deliver(&mail, to)).await {
                Ok(result) => result,
                Err(_) => Err(SendFailure::of_provider("timeout")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_the_sender_is_no_failure_of_the_message() {
        for (number, enhanced) in [(550, "5.4.5"), (550, "5.7.60"), (553, "5.1.8"), (535, "5.7.8"), (421, "")] {
            assert_eq!(answered(number, enhanced), SendFailure::of_provider(format!("smtp_{number}")), "{enhanced}");
        }
        for (number, enhanced) in [(550, "5.1.1"), (550, "5.7.1"), (552, "5.2.2"), (554, "Transaction")] {
            assert_eq!(answered(number, enhanced), SendFailure::never(format!("smtp_{number}")), "{enhanced}");
        }
        assert_eq!(answered(452, "4.2.2"), SendFailure::later("smtp_452"));
    }

    #[test]
    fn of_a_servers_answer_its_number_is_kept_and_nothing_of_the_address() {
        let to = "anna1980@example.org";
        for (said, id) in [
            ("2.0.0 Ok: queued as 4XyzAb1cDe", Some("4XyzAb1cDe")),
            ("OK id=1tEfGh-000000001Ab-2cD3", Some("1tEfGh-000000001Ab-2cD3")),
            ("Anna1980 <anna1980@example.org> 4711 accepted", Some("4711")),
            ("accepted for ANNA1980@EXAMPLE.ORG", None),
            ("for other7@example.org", None),
            ("Thank you, Anna", None),
        ] {
            assert_eq!(queue_id(said, to), id, "{said}");
        }
    }
}

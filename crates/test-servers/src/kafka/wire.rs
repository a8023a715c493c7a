//! The three requests of Kafka's protocol that starting a broker needs, written by hand, so that this crate needs no
//! client in C. A broker that does not answer is told apart from one that refuses: the first is `None`, the second
//! panics.

use crate::comes_true;
use std::io::{Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;
/// A broker that hangs is as good as none.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the broker may take for a topic each time, and for how long it is asked: it may answer before it has joined itself.
const TOPIC_TIMEOUT_MS: i32 = 10_000;
const TOPIC_MADE_MAX: Duration = Duration::from_secs(60);

/// Whether a broker answers here and knows of itself.
pub(super) fn has_broker(port: u16) -> bool {
    advertised(port).is_some()
}

/// The port that the broker tells its clients.
pub(super) fn advertised(port: u16) -> Option<u16> {
    let mut answer = metadata(port, None)?;
    answer.brokers().first().copied()
}

/// How many partitions a topic has; `None` if there is no such topic.
#[cfg(test)]
pub(super) fn partitions(port: u16, topic: &str) -> Option<usize> {
    let mut answer = metadata(port, Some(topic))?;
    answer.brokers();
    answer.text(); // the cluster's id
    answer.number::<4>(); // the controller
    assert_eq!(answer.number::<4>(), 1, "one topic was asked for");
    let error = answer.number::<2>();
    answer.text();
    answer.number::<1>();
    (error == 0).then(|| usize::try_from(answer.number::<4>()).expect("a count"))
}

/// Makes a topic.
pub(super) fn create_topic(port: u16, name: &str, partitions: u16) {
    let mut body = Vec::new();
    body.extend(1_i32.to_be_bytes());
    put_text(&mut body, name);
    body.extend(i32::from(partitions).to_be_bytes());
    body.extend(1_i16.to_be_bytes()); // replicas
    body.extend(0_i32.to_be_bytes()); // assignments
    body.extend(0_i32.to_be_bytes()); // configuration
    body.extend(TOPIC_TIMEOUT_MS.to_be_bytes());
    body.push(0); // not only to validate
    let mut error = None;
    let is_made = comes_true(TOPIC_MADE_MAX, || {
        error = ask(port, CREATE_TOPICS, 2, &body).ok().map(|mut answer| {
            answer.number::<4>(); // throttled so long
            answer.number::<4>(); // topics
            answer.text();
            answer.number::<2>()
        });
        matches!(error, Some(0 | 36)) // there already, from an attempt whose answer did not come
    });
    assert!(is_made, "Kafka does not make the topic {name}: {error:?}");
}

fn metadata(port: u16, topic: Option<&str>) -> Option<Answer> {
    let mut body = Vec::new();
    body.extend(i32::from(topic.is_some()).to_be_bytes());
    if let Some(topic) = topic {
        put_text(&mut body, topic);
    }
    body.push(0); // make no topics
    let mut answer = ask(port, METADATA, 4, &body).ok()?;
    answer.number::<4>(); // throttled so long
    Some(answer)
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(i16::try_from(text.len()).expect("names are short").to_be_bytes());
    body.extend(text.as_bytes());
}

fn ask(port: u16, key: i16, version: i16, body: &[u8]) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE.max(Duration::from_millis(TOPIC_TIMEOUT_MS.unsigned_abs().into()))))?;
    if key == METADATA {
        stream.set_read_timeout(Some(PATIENCE))?;
    }
    let mut request = Vec::new();
    request.extend(key.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // correlation
    request.extend((-1_i16).to_be_bytes()); // no name of the client
    request.extend(body);
    let length = i32::try_from(request.len()).expect("requests are short");
    stream.write_all(&[&length.to_be_bytes()[..], &request].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap_or(0)];
    stream.read_exact(&mut bytes)?;
    Ok(Answer { bytes, at: 4 })
}

/// An answer, read from front to back.
struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    fn number<const BYTES: usize>(&mut self) -> i64 {
        let bytes = &self.bytes[self.at..self.at + BYTES];
        self.at += BYTES;
        let negative = bytes.first().is_some_and(|byte| 0x80 <= *byte);
        bytes.iter().fold(if negative { -1 } else { 0 }, |number, byte| number << 8 | i64::from(*byte))
    }

    fn text(&mut self) -> String {
        let length = usize::try_from(self.number::<2>()).unwrap_or(0);
        let text = String::from_utf8_lossy(&self.bytes[self.at..self.at + length]).into_owned();
        self.at += length;
        text
    }

    /// The ports of the brokers.
    fn brokers(&mut self) -> Vec<u16> {
        let count = self.number::<4>();
        let broker = |answer: &mut Answer| {
            answer.number::<4>(); // its id
            answer.text(); // its host
            let port = answer.number::<4>();
            answer.text(); // its rack
            u16::try_from(port).expect("a port")
        };
        (0..count).map(|_| broker(self)).collect()
    }
}

//! A small blocking HTTP/1.1 client for working through a running server and for measuring one. It speaks plain HTTP:
//! a server elsewhere is reached through a tunnel or a proxy that adds encryption.

use crate::failure::Failure;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

/// Longer than any answer takes: a redrive, a batch of 8,192, a full queue.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most bytes of an answer, its head included: well beyond the answer to the largest batch.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// From so many bytes on, a body costs more to copy than to send apart from its head.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Where a server is, and the token for it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    authority: String,
    token: Option<Secret>,
}

/// A text that no log shows.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a server is asked.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// The method.
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) path: &'a str,
    /// The idempotency key.
    pub(crate) key: Option<&'a str>,
    /// Media type and content.
    pub(crate) body: Option<(&'a str, &'a [u8])>,
}

/// What it answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The content.
    pub(crate) body: Vec<u8>,
}

/// A connection that is kept open, and opened again when the server closed it.
#[derive(Debug)]
pub(crate) struct Client {
    server: Server,
    connection: Option<BufReader<TcpStream>>,
}

impl Server {
    /// A server at `http://HOST:PORT`.
    ///
    /// # Errors
    /// Wrong usage: not such a URL, or a token file that cannot be read.
    pub(crate) fn new(url: &str, token_file: Option<&Path>) -> Result<Server, Failure> {
        let wrong = |what: &str| Failure::usage(format!("--url {url}: {what}"), "write it as http://HOST:PORT");
        if url.starts_with("https://") {
            return Err(Failure::usage(
                format!("--url {url}: this program speaks plain HTTP only"),
                "reach the server on its machine, or through a tunnel that ends on a local port",
            ));
        }
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("it is not an http URL"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(is_plain) {
            return Err(wrong("it is more than a host and a port"));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Server { authority, token: token_file.map(read_token).transpose()? })
    }

    /// A client of this server; it connects with its first request.
    pub(crate) fn client(&self) -> Client {
        Client { server: self.clone(), connection: None }
    }
}

fn read_token(file: &Path) -> Result<Secret, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(
            format!("cannot read the token file {}: {error}", file.display()),
            "name a file that holds one token",
        )
    })?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage(
            format!("{} does not hold a token", file.display()),
            "name a file that holds one token",
        ));
    }
    Ok(Secret(token.to_owned()))
}

impl Client {
    /// Sends a request and waits for the answer, whatever its status.
    ///
    /// # Errors
    /// A fault: the server cannot be reached or hangs up. What became of the request is then unknown.
    pub(crate) fn send(&mut self, request: &Request<'_>) -> Result<Reply, Failure> {
        let head = self.head(request);
        let body = request.body.map_or(&[][..], |(_, body)| body);
        // A kept connection may have been closed meanwhile; what has a key, or asks only, can be sent twice.
        if let Some(connection) = self.connection.take()
            && let Ok(reply) = self.exchange(connection, &head, body)
        {
            return Ok(reply);
        }
        let authority = &self.server.authority;
        let unreachable = |error: Error| {
            Failure::fault(
                format!("no answer from http://{authority}: {error}"),
                "check that `florin serve` runs there, then run the same command again",
            )
        };
        let connection = connect(authority).map_err(unreachable)?;
        let authority = authority.clone();
        self.exchange(connection, &head, body).map_err(|error| {
            Failure::fault(
                format!("the connection to http://{authority} broke before the answer came: {error}"),
                "run the same command again: what is done already is not done twice",
            )
        })
    }

    fn head(&self, request: &Request<'_>) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.path, self.server.authority);
        if let Some(Secret(token)) = &self.server.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if let Some(key) = request.key {
            head.push_str(&format!("Idempotency-Key: {key}\r\n"));
        }
        match request.body {
            Some((media_type, body)) => {
                head.push_str(&format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len()));
            }
            None if request.method == "GET" => head.push_str("\r\n"),
            None => head.push_str("Content-Length: 0\r\n\r\n"),
        }
        head.into_bytes()
    }

    /// A small request leaves in one piece; a large body is not copied.
    fn exchange(&mut self, mut connection: BufReader<TcpStream>, head: &[u8], body: &[u8]) -> Result<Reply, Error> {
        if body.len() < COPIED_BYTES_MAX {
            connection.get_mut().write_all(&[head, body].concat())?;
        } else {
            connection.get_mut().write_all(head)?;
            connection.get_mut().write_all(body)?;
        }
        let (reply, is_kept) = read_reply(&mut connection)?;
        if is_kept {
            self.connection = Some(connection);
        }
        Ok(reply)
    }
}

fn connect(authority: &str) -> Result<BufReader<TcpStream>, Error> {
    let mut last = Error::new(ErrorKind::NotFound, "the host has no address");
    for address in authority.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(BufReader::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads an answer, and tells whether the connection stays open.
fn read_reply(reader: &mut impl BufRead) -> Result<(Reply, bool), Error> {
    let mut reader = reader.take(ANSWER_BYTES_MAX);
    let status_line = read_line(&mut reader)?;
    let status: Option<u16> = status_line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| invalid("it does not speak HTTP/1.1"))?;
    let (mut length, mut is_chunked, mut is_kept) = (None, false, true);
    loop {
        let line = read_line(&mut reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse().map_err(|_| invalid("its content length is no number"))?),
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => is_kept = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    match length {
        _ if is_chunked => read_chunks(&mut reader, &mut body)?,
        Some(length) => read_exactly(&mut reader, length, &mut body)?,
        None if status == 204 => {}
        None => {
            is_kept = false;
            reader.read_to_end(&mut body)?;
        }
    }
    Ok((Reply { status, body }, is_kept))
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<(), Error> {
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid("a chunk has no size"))?;
        read_exactly(reader, size, body)?;
        read_line(reader)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_exactly(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> Result<(), Error> {
    let read = reader.take(length).read_to_end(body)?;
    if read as u64 == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn read_line(reader: &mut impl BufRead) -> Result<String, Error> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_to(bytes: &[u8]) -> Option<(u16, Vec<u8>, bool)> {
        read_reply(&mut &bytes[..]).ok().map(|(reply, is_kept)| (reply.status, reply.body, is_kept))
    }

    #[test]
    fn answers_are_read_whatever_their_framing() {
        let with_length = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest";
        assert_eq!(reply_to(with_length), Some((200, b"{}".to_vec(), true)));
        let in_chunks = b"HTTP/1.1 422 No\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n";
        assert_eq!(reply_to(in_chunks), Some((422, b"{}".to_vec(), true)));
        let until_the_end = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}";
        assert_eq!(reply_to(until_the_end), Some((200, b"{}".to_vec(), false)));
        assert_eq!(reply_to(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, Vec::new(), true)));
    }

    #[test]
    fn half_an_answer_is_none() {
        for bytes in
            [&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"[..], b"", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n"]
        {
            assert_eq!(reply_to(bytes), None);
        }
    }

    #[test]
    fn urls_are_a_host_and_a_port() {
        for (url, authority) in
            [("http://127.0.0.1:7878", "127.0.0.1:7878"), ("http://bank/", "bank:80"), ("http://[::1]:1", "[::1]:1")]
        {
            assert_eq!(Server::new(url, None).expect("a server").authority, authority);
        }
        for url in ["https://bank", "bank:80", "http://", "http://bank/path", "http://user@bank"] {
            assert!(Server::new(url, None).is_err(), "{url}");
        }
    }
}

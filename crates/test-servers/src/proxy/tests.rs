//! The proxy before a server that echoes lines, and before one that says of PostgreSQL what a COMMIT hears.

use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// What does not come within this time is taken as held back.
const SHORT: Duration = Duration::from_millis(200);

/// A server that hands each connection to this function; what it gives back is told through the channel.
fn server<T: Send + 'static>(serve: impl Fn(TcpStream) -> T + Send + Sync + 'static) -> (SocketAddr, Receiver<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = channel();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, sender) = (Arc::clone(&serve), sender.clone());
            std::thread::spawn(move || _ = sender.send(serve(stream.expect("a connection"))));
        }
    });
    (address, receiver)
}

/// Sends every line back, and returns what it heard when the connection ends.
fn echo(stream: TcpStream) -> String {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut heard = String::new();
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        heard.push_str(&line);
        _ = writer.write_all(format!("{line}\n").as_bytes());
    }
    heard
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(proxy: &Proxy) -> Client {
        let stream = TcpStream::connect(proxy.address()).expect("the proxy accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client(BufReader::new(stream))
    }

    fn send(&mut self, bytes: &[u8]) {
        // Whether the connection is still there is seen by what comes back.
        _ = self.0.get_mut().write_all(bytes);
    }

    /// The next line; empty when the connection is cut.
    fn line(&mut self) -> String {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(_) => line.trim_end().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    fn hears_nothing(&mut self) -> bool {
        self.0.get_ref().set_read_timeout(Some(SHORT)).expect("a timeout");
        let nothing =
            self.0.get_mut().read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).expect("a timeout");
        nothing
    }
}

#[test]
fn what_is_cut_stays_cut_and_new_connections_work() {
    let (address, _heard) = server(echo);
    let proxy = Proxy::start(address);
    let mut client = Client::connect(&proxy);
    client.send(b"one\n");
    assert_eq!(client.line(), "one");
    proxy.cut();
    assert_eq!(client.line(), "");
    let mut client = Client::connect(&proxy);
    client.send(b"two\n");
    assert_eq!(client.line(), "two");
}

#[test]
fn a_refusing_proxy_ends_new_connections_and_keeps_old_ones() {
    let (address, _heard) = server(echo);
    let proxy = Proxy::start(address);
    let mut old = Client::connect(&proxy);
    old.send(b"one\n");
    assert_eq!(old.line(), "one");
    proxy.refuse();
    assert_eq!(Client::connect(&proxy).line(), "");
    old.send(b"two\n");
    assert_eq!(old.line(), "two");
    proxy.heal();
    let mut new = Client::connect(&proxy);
    new.send(b"three\n");
    assert_eq!(new.line(), "three");
}

#[test]
fn a_partition_holds_back_and_delivers_in_order_when_it_heals() {
    let (address, heard) = server(echo);
    let proxy = Proxy::start(address);
    let mut client = Client::connect(&proxy);
    client.send(b"one\n");
    assert_eq!(client.line(), "one");
    proxy.stall();
    client.send(b"two\n");
    let mut late = Client::connect(&proxy);
    late.send(b"other\n");
    assert!(client.hears_nothing() && late.hears_nothing() && heard.try_recv().is_err());
    client.send(b"three\n");
    proxy.heal();
    assert_eq!((client.line().as_str(), client.line().as_str(), late.line().as_str()), ("two", "three", "other"));
}

#[test]
fn a_partition_can_be_cut_and_ends_with_the_proxy() {
    let (address, _heard) = server(echo);
    let proxy = Proxy::start(address);
    let mut client = Client::connect(&proxy);
    proxy.stall();
    client.send(b"one\n");
    proxy.wait_for_connections(1);
    proxy.cut();
    assert_eq!(client.line(), "");
    let mut client = Client::connect(&proxy);
    drop(proxy);
    assert_eq!(client.line(), "");
}

#[test]
fn lost_answers_never_come_though_the_requests_arrived() {
    let (address, heard) = server(echo);
    let proxy = Proxy::start(address);
    let mut client = Client::connect(&proxy);
    client.send(b"one\n");
    assert_eq!(client.line(), "one");
    proxy.lose_answers();
    client.send(b"two\n");
    assert!(client.hears_nothing());
    proxy.heal();
    assert_eq!(client.line(), "", "a connection that lost something is cut");
    assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok("onetwo"));
}

/// Answers each query of PostgreSQL by a line with its text, and a COMMIT as the server does; returns the queries.
fn database(mut stream: TcpStream) -> Vec<String> {
    let mut queries = Vec::new();
    let mut head = [0; 8];
    _ = stream.read_exact(&mut head);
    loop {
        let mut head = [0; 5];
        if stream.read_exact(&mut head).is_err() {
            return queries;
        }
        let mut body = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4];
        stream.read_exact(&mut body).expect("a whole message");
        let query = String::from_utf8(body).expect("text").trim_end_matches('\0').to_owned();
        let tag = format!("{query}\n\0");
        let ready = if query == "COMMIT" { message(b'Z', b"I") } else { Vec::new() };
        queries.push(query);
        _ = stream.write_all(&[message(b'C', tag.as_bytes()), ready].concat());
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn begin(proxy: &Proxy) -> Client {
    let mut client = Client::connect(proxy);
    client.send(&[&8_u32.to_be_bytes()[..], &[0, 3, 0, 0]].concat());
    client.send(&message(b'Q', b"INSERT\0"));
    assert!(client.line().ends_with("INSERT"));
    client
}

#[test]
fn a_lost_answer_to_a_commit_leaves_it_committed_and_the_client_cut_off() {
    let (address, queries) = server(database);
    let proxy = Proxy::start(address);
    let mut client = begin(&proxy);
    proxy.lose_next_commit(Lost::Answer);
    client.send(&message(b'Q', b"SELECT\0"));
    assert!(client.line().ends_with("SELECT"), "what is no COMMIT passes");
    client.send(&message(b'Q', b"COMMIT\0"));
    proxy.wait_for_commits_lost(1);
    assert_eq!(client.line().trim_matches('\0'), "");
    assert_eq!(queries.recv_timeout(PATIENCE).expect("a connection that ended"), ["INSERT", "SELECT", "COMMIT"]);
    let mut client = begin(&proxy);
    client.send(&message(b'Q', b"COMMIT\0"));
    assert!(client.line().ends_with("COMMIT"), "one COMMIT is lost, not all");
    assert_eq!(proxy.commits_lost(), 1);
}

#[test]
fn a_lost_commit_never_reaches_the_server() {
    let (address, queries) = server(database);
    let proxy = Proxy::start(address);
    proxy.lose_next_commit(Lost::Request);
    let mut client = begin(&proxy);
    client.send(&message(b'Q', b"COMMIT\0"));
    proxy.wait_for_commits_lost(1);
    assert_eq!(client.line().trim_matches('\0'), "");
    assert_eq!(queries.recv_timeout(PATIENCE).expect("a connection that ended"), ["INSERT"]);
}

#[test]
fn a_commit_can_arrive_after_the_next_one_though_its_client_is_cut_off() {
    let (address, queries) = server(database);
    let proxy = Proxy::start(address);
    let mut client = begin(&proxy);
    assert_eq!(proxy.round_trips_of_commits(), (0, 0));
    proxy.lose_next_commit(Lost::Client);
    client.send(&message(b'Q', b"COMMIT\0"));
    assert_eq!(client.line().trim_matches('\0'), "");
    assert_eq!((proxy.commits_lost(), proxy.round_trips_of_commits()), (0, (1, 2)));
    let mut other = begin(&proxy);
    other.send(&message(b'Q', b"COMMIT\0"));
    other.line();
    assert_eq!(proxy.commits_lost(), 1);
    assert_eq!(queries.recv_timeout(PATIENCE).expect("a connection that ended"), ["INSERT", "COMMIT"]);
}

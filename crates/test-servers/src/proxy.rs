//! A TCP proxy between a client and a server that breaks the network on command: it cuts connections, refuses new ones,
//! holds everything back as a partition does, and loses the server's answers. Of PostgreSQL it knows what a COMMIT is, so
//! that a client can be left not knowing whether its transaction was committed.
//!
//! Promises: a command holds for everything that is sent after it returned. What a partition held back is delivered when
//! it heals, in order. What was lost is never delivered: its connection is cut when the proxy heals. Only connections
//! without encryption can be looked into.

mod connection;
mod postgres;

use connection::{Connection, Link};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What is lost of the next COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The COMMIT itself: the server never hears of it.
    Request,
    /// The server's answer: it has committed, and the client does not know.
    Answer,
    /// The connection to the client. The COMMIT arrives when the next one has been made, before that one is answered.
    Client,
}

/// A proxy before one server. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the threads of a proxy know of each other.
#[derive(Debug)]
struct Shared {
    server: Mutex<SocketAddr>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Where a COMMIT is that is to arrive late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Late {
    #[default]
    Nowhere,
    OnItsWay,
    Arriving,
}

#[derive(Debug, Default)]
struct State {
    refuses: bool,
    stalls: bool,
    loses_answers: bool,
    /// What the next COMMIT of any connection loses.
    next_commit: Option<Lost>,
    commits_lost: usize,
    late: Late,
    is_over: bool,
    connections: Vec<Arc<Link>>,
    /// Connections over which blocks were committed and that are no more, and the round trips on them.
    ended: (usize, usize),
}

impl Proxy {
    /// A proxy before the server at this address, which need not be there yet.
    ///
    /// # Panics
    /// If the loopback interface has no free port.
    pub fn start(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared { server: Mutex::new(server), state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Proxy { address, shared }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has new connections lead to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.shared.server() = server;
    }

    /// Cuts all connections. New ones are accepted as before.
    pub fn cut(&self) {
        self.shared.change(State::cut);
    }

    /// Ends every new connection at once, as a port does that nobody listens at.
    pub fn refuse(&self) {
        self.shared.change(|state| state.refuses = true);
    }

    /// Holds everything back, in both directions: nobody hears of an end, and nothing arrives.
    pub fn stall(&self) {
        self.shared.change(|state| state.stalls = true);
    }

    /// Loses everything the server says from now on; requests still arrive.
    pub fn lose_answers(&self) {
        self.shared.change(|state| state.loses_answers = true);
    }

    /// Forwards everything until a client of PostgreSQL has sent a COMMIT, loses that or its answer, and cuts the
    /// connection. For one COMMIT of one connection; [`Proxy::commits_lost`] tells when.
    pub fn lose_next_commit(&self, lost: Lost) {
        self.shared.change(|state| state.next_commit = Some(lost));
    }

    /// Over how many connections blocks were committed, and the round trips on those, since they were made.
    pub fn round_trips_of_commits(&self) -> (usize, usize) {
        let state = self.shared.lock();
        let open = state.connections.iter().filter_map(|link| link.round_trips_of_commits());
        open.fold(state.ended, |(connections, round_trips), more| (connections + 1, round_trips + more))
    }

    /// How many COMMITs were lost, themselves or their answers.
    pub fn commits_lost(&self) -> usize {
        self.shared.lock().commits_lost
    }

    /// Waits until so many COMMITs were lost.
    pub fn wait_for_commits_lost(&self, count: usize) {
        drop(self.shared.wait_while(|state| state.commits_lost < count));
    }

    /// Waits until so many connections are open, at least.
    pub fn wait_for_connections(&self, count: usize) {
        drop(self.shared.wait_while(|state| state.connections.len() < count));
    }

    /// The network works again. What was held back arrives; connections that lost something are cut.
    pub fn heal(&self) {
        self.shared.change(|state| {
            state.connections.iter().filter(|link| link.has_lost()).for_each(|link| link.cut());
            (state.refuses, state.stalls, state.loses_answers, state.next_commit) = (false, false, false, None);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.is_over = true;
            state.cut();
        });
        // The thread that accepts waits for a connection: it gets one.
        _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn cut(&mut self) {
        self.connections.iter().for_each(|link| link.cut());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where new connections lead.
    fn server(&self) -> MutexGuard<'_, SocketAddr> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits while this is so, and returns what is then.
    fn wait_while(&self, mut condition: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), |state| condition(state)).unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let mut state = shared.lock();
        if state.is_over {
            return;
        }
        let Ok(client) = client else { continue };
        if state.refuses {
            _ = client.shutdown(Shutdown::Both);
            continue;
        }
        let Ok(link) = Link::new(&client) else { continue };
        state.connections.push(Arc::clone(&link));
        drop(state);
        shared.changed.notify_all();
        let shared = Arc::clone(shared);
        // Connecting to the server waits for a partition to heal, so it does not happen here.
        std::thread::spawn(move || Connection::serve(link, client, &shared));
    }
}

#[cfg(test)]
mod tests;

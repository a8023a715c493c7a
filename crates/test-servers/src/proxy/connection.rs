//! One connection through the proxy: two threads, one per direction, that look at the proxy's state before each piece.

use super::postgres::{Answers, Commits};
use super::{Late, Lost, Shared};
use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const PIECE_BYTES: usize = 16 * 1024;

/// Both sockets of a connection, so that others can cut it.
#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: Mutex<Option<TcpStream>>,
    is_cut: AtomicBool,
    /// Whether answers of the server were lost.
    has_lost: AtomicBool,
    /// Whether the answer to a COMMIT is being lost; when it has come, the connection ends.
    loses_commit: AtomicBool,
    /// Whether a COMMIT arrived without its client: whatever is answered, it was too late.
    is_late: AtomicBool,
    /// Whether the server had the last word.
    is_answered: AtomicBool,
    round_trips: AtomicUsize,
    has_committed: AtomicBool,
}

impl Link {
    pub(super) fn new(client: &TcpStream) -> Result<Arc<Link>> {
        Ok(Arc::new(Link {
            client: client.try_clone()?,
            server: Mutex::new(None),
            is_cut: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
            loses_commit: AtomicBool::new(false),
            is_late: AtomicBool::new(false),
            is_answered: AtomicBool::new(true),
            round_trips: AtomicUsize::new(0),
            has_committed: AtomicBool::new(false),
        }))
    }

    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Release);
        // Whoever closed first, both are closed now.
        _ = self.client.shutdown(Shutdown::Both);
        if let Some(server) = &*self.server.lock().unwrap_or_else(PoisonError::into_inner) {
            _ = server.shutdown(Shutdown::Both);
        }
    }

    pub(super) fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::Acquire)
    }

    pub(super) fn round_trips_of_commits(&self) -> Option<usize> {
        self.has_committed.load(Ordering::Acquire).then(|| self.round_trips.load(Ordering::Acquire))
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }
}

/// See the module.
pub(super) struct Connection<'a> {
    link: Arc<Link>,
    shared: &'a Shared,
}

impl Connection<'_> {
    /// Serves a connection until one side ends it or the proxy cuts it.
    pub(super) fn serve(link: Arc<Link>, client: TcpStream, shared: &Shared) {
        let connection = Connection { link: Arc::clone(&link), shared };
        connection.forward(client);
        link.cut();
        shared.change(|state| {
            state.connections.retain(|other| !Arc::ptr_eq(other, &link));
            if let Some(round_trips) = link.round_trips_of_commits() {
                state.ended = (state.ended.0 + 1, state.ended.1 + round_trips);
            }
        });
    }

    fn forward(&self, client: TcpStream) {
        if !self.may_go_on() {
            return;
        }
        let address = *self.shared.server();
        let Ok(server) = TcpStream::connect(address) else { return };
        let (Ok(client_in), Ok(server_in)) = (client.try_clone(), server.try_clone()) else { return };
        // Pieces are as small as they come: nothing may wait for more.
        _ = client.set_nodelay(true);
        _ = server.set_nodelay(true);
        *self.link.server.lock().unwrap_or_else(PoisonError::into_inner) = server.try_clone().ok();
        if self.link.is_cut() {
            return;
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                self.forward_requests(client_in, server);
                self.link.cut();
            });
            self.forward_answers(server_in, client);
            self.link.cut();
        });
    }

    /// Waits while the network is partitioned; whether the connection is still there then.
    fn may_go_on(&self) -> bool {
        drop(self.shared.wait_while(|state| state.stalls && !state.is_over && !self.link.is_cut()));
        !self.link.is_cut()
    }

    fn forward_requests(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut commits = Commits::default();
        let mut piece = vec![0; PIECE_BYTES];
        while let Some(length) = self.next_piece(&mut from, &mut piece) {
            if self.link.is_answered.swap(false, Ordering::AcqRel) {
                self.link.round_trips.fetch_add(1, Ordering::AcqRel);
            }
            if commits.has_commit(&piece[..length]) {
                self.link.has_committed.store(true, Ordering::Release);
                match self.take_loss() {
                    None | Some(Lost::Answer) => {}
                    Some(Lost::Request) => return,
                    Some(Lost::Client) => self.wait_without_client(),
                }
            }
            if to.write_all(&piece[..length]).is_err() {
                return;
            }
            if self.link.is_late.load(Ordering::Acquire) {
                self.wait_for_late(|late| late == Late::Nowhere);
                return;
            }
        }
    }

    /// Cuts the client off, and waits until what it sent is to arrive.
    fn wait_without_client(&self) {
        self.link.is_late.store(true, Ordering::Release);
        _ = self.link.client.shutdown(Shutdown::Both);
        self.shared.change(|state| state.late = Late::OnItsWay);
        self.wait_for_late(|late| late == Late::Arriving);
    }

    fn wait_for_late(&self, is_there: impl Fn(Late) -> bool) {
        drop(self.shared.wait_while(|state| !is_there(state.late) && !state.is_over && !self.link.is_cut()));
    }

    /// What the COMMIT that is about to pass loses. From here on no answer passes, and the one to it comes after.
    fn take_loss(&self) -> Option<Lost> {
        let mut lost = None;
        self.shared.change(|state| {
            lost = state.next_commit.take();
            self.link.loses_commit.store(lost.is_some(), Ordering::Release);
            state.commits_lost += usize::from(lost == Some(Lost::Request));
        });
        lost
    }

    fn forward_answers(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut answers = Answers::default();
        let mut piece = vec![0; PIECE_BYTES];
        while let Some(length) = self.next_piece(&mut from, &mut piece) {
            self.link.is_answered.store(true, Ordering::Release);
            let answers_commit = answers.answers_commit(&piece[..length]);
            let is_next = answers_commit && self.link.has_committed.load(Ordering::Acquire);
            if is_next && self.shared.lock().late == Late::OnItsWay {
                self.shared.change(|state| state.late = Late::Arriving);
                self.wait_for_late(|late| late == Late::Nowhere);
            }
            if self.link.loses_commit.load(Ordering::Acquire) {
                if answers_commit || self.link.is_late.load(Ordering::Acquire) {
                    self.shared.change(|state| {
                        state.commits_lost += 1;
                        state.late = Late::Nowhere;
                    });
                    return;
                }
            } else if self.shared.lock().loses_answers {
                self.link.has_lost.store(true, Ordering::Release);
            } else if to.write_all(&piece[..length]).is_err() {
                return;
            }
        }
    }

    /// The next piece that comes in, when the network lets it pass; `None` at the end, which a partition hides as well.
    fn next_piece(&self, from: &mut TcpStream, piece: &mut [u8]) -> Option<usize> {
        let length = from.read(piece).unwrap_or(0);
        (self.may_go_on() && 0 < length).then_some(length)
    }
}

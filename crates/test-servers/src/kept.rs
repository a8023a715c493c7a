//! What small servers in the process of a test have in common: a port whose connections are served on threads of their own, and
//! what came, which the test waits for.

use std::fmt::Debug;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A port of the loopback interface. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    is_over: Arc<AtomicBool>,
}

impl Port {
    /// A free one, with each connection served so.
    ///
    /// # Panics
    /// If the loopback interface has no free port.
    pub(crate) fn open(serve: impl Fn(&TcpStream, &AtomicBool) + Send + Sync + 'static) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback interface has a free port");
        let number = listener.local_addr().expect("a bound listener has an address").port();
        let is_over = Arc::new(AtomicBool::new(false));
        let (serve, told) = (Arc::new(serve), is_over.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), serve, told) = (stream, serve.clone(), told.clone()) else { continue };
                std::thread::spawn(move || serve(&stream, &told));
            }
        });
        Port { number, is_over }
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        _ = TcpStream::connect(("127.0.0.1", self.number));
    }
}

/// What came.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    all: Mutex<Vec<T>>,
    /// Whether it is kept, or only counted.
    keeps: AtomicBool,
    count: AtomicUsize,
    more: Condvar,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        let (all, count, more) = Default::default();
        Kept { all, keeps: AtomicBool::new(true), count, more }
    }
}

pub(crate) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Clone + Debug> Kept<T> {
    pub(crate) fn push(&self, one: T) {
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.keeps.load(Ordering::SeqCst) {
            lock(&self.all).push(one);
        }
        self.more.notify_all();
    }

    pub(crate) fn only_count(&self) {
        self.keeps.store(false, Ordering::SeqCst);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        lock(&self.all).clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until so many came, and gives them.
    ///
    /// # Panics
    /// If a minute passes before.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<T> {
        let is_less = |all: &mut Vec<T>| all.len() < count;
        let waited = self.more.wait_timeout_while(lock(&self.all), Duration::from_secs(60), is_less);
        let (all, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "only {} of {count} came: {all:#?}", all.len());
        all.clone()
    }

    /// Lets time pass.
    pub(crate) fn pause(&self, time: Duration) {
        drop(self.more.wait_timeout_while(lock(&self.all), time, |_| true));
    }
}

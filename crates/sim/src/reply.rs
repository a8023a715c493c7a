//! A place for one answer: whoever waits for it hears either the answer, or that nobody will ever give one.

use crate::scheduler::lock;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// The connection broke before an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

struct Place<T> {
    answer: Option<T>,
    is_closed: bool,
    waker: Option<Waker>,
}

/// Gives the answer; dropped without one, it breaks the connection.
pub struct Giver<T> {
    place: Arc<Mutex<Place<T>>>,
}

/// Waits for the answer.
pub struct Taker<T> {
    place: Arc<Mutex<Place<T>>>,
}

/// Both ends of a new place.
pub fn reply<T>() -> (Giver<T>, Taker<T>) {
    let place = Arc::new(Mutex::new(Place { answer: None, is_closed: false, waker: None }));
    (Giver { place: place.clone() }, Taker { place })
}

impl<T> Giver<T> {
    /// Gives the answer. The first one counts.
    pub fn give(self, answer: T) {
        lock(&self.place).answer.get_or_insert(answer);
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        let mut place = lock(&self.place);
        place.is_closed = true;
        let waker = place.waker.take();
        drop(place);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Taker<T> {
    type Output = Result<T, Lost>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, Lost>> {
        let mut place = lock(&self.place);
        match place.answer.take() {
            Some(answer) => Poll::Ready(Ok(answer)),
            None if place.is_closed => Poll::Ready(Err(Lost)),
            None => {
                place.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

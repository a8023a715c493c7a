//! Files as answers: so many at a time, few of one account, and none for longer than its client takes them.

use crate::{App, pieces};
use axum::body::Body;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

/// Bytes given to a connection at a time. A file that has no more keeps no place: it is an answer like any other.
const PIECE_BYTES: usize = 64 * 1024;
/// Most files of one account at a time.
const OF_ACCOUNT_MAX: usize = 8;

/// The files that are being sent.
#[derive(Debug)]
pub(crate) struct Files {
    places: Arc<Semaphore>,
    of_accounts: Arc<Mutex<HashMap<String, usize>>>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    account: String,
    of_accounts: Arc<Mutex<HashMap<String, usize>>>,
    _place: OwnedSemaphorePermit,
}

impl Files {
    /// At most so many at a time.
    pub(crate) fn new(most: usize) -> Files {
        Files { places: Arc::new(Semaphore::new(most)), of_accounts: Arc::default() }
    }

    /// A place for a file of this account, if one becomes free in time; none while as many of the account are sent as may be.
    pub(crate) async fn place(&self, app: &App, account: &str) -> Option<Place> {
        let patience = app.settings().body_place_timeout;
        let place = timeout(patience, self.places.clone().acquire_owned()).await.ok()?.ok()?;
        let mut of_accounts = counted(&self.of_accounts);
        let count = of_accounts.entry(account.to_owned()).or_default();
        if OF_ACCOUNT_MAX <= *count {
            return None;
        }
        *count += 1;
        Some(Place { account: account.to_owned(), of_accounts: self.of_accounts.clone(), _place: place })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of_accounts = counted(&self.of_accounts);
        if let Some(count) = of_accounts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                of_accounts.remove(&self.account);
            }
        }
    }
}

fn counted(of_accounts: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    of_accounts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This file as a body. A client that takes no piece of it in time gets no more: neither what it does not read nor its place is
/// kept, whatever its connection says meanwhile.
pub(crate) fn body(app: &App, bytes: Vec<u8>, place: Place) -> Body {
    if bytes.len() <= PIECE_BYTES {
        return Body::from(bytes);
    }
    let (sender, receiver) = mpsc::channel(1);
    let patience = app.settings().write_timeout;
    let mut rest = Bytes::from(bytes);
    let length = rest.len() as u64;
    app.tasks().spawn(async move {
        let _place = place;
        while !rest.is_empty() {
            let piece = rest.split_to(PIECE_BYTES.min(rest.len()));
            if !matches!(timeout(patience, sender.send(piece)).await, Ok(Ok(()))) {
                return; // the connection ends, as the file is not whole
            }
        }
    });
    pieces::body(receiver, Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use crate::tests::world::World;
    use http_body_util::BodyExt;
    use std::time::Duration;

    async fn wait_for_places(files: &Files, count: usize) {
        let count = u32::try_from(count).expect("few");
        drop(files.places.acquire_many(count).await.expect("they come free"));
    }

    #[tokio::test]
    async fn a_file_keeps_its_place_until_it_was_sent() {
        let world = World::new();
        let files = Files::new(1);
        let place = files.place(&world.app, "7").await.expect("a place");
        let file: Vec<u8> = (0..PIECE_BYTES * 4 + 1).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
        let mut body = body(&world.app, file.clone(), place);
        assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(file.len() as u64));
        let mut sent = body.frame().await.expect("a piece").expect("a piece").into_data().expect("data").to_vec();
        assert_eq!(files.places.available_permits(), 0);
        while let Some(frame) = body.frame().await {
            sent.extend_from_slice(&frame.expect("a piece").into_data().expect("data"));
        }
        assert!(sent == file);
        wait_for_places(&files, 1).await;
    }

    #[tokio::test]
    async fn who_takes_nothing_of_a_file_keeps_neither_it_nor_its_place() {
        let world = World::with(Settings { write_timeout: Duration::from_millis(10), ..Settings::default() });
        let files = Files::new(1);
        let place = files.place(&world.app, "7").await.expect("a place");
        let mut body = body(&world.app, vec![0; PIECE_BYTES * 4], place);
        wait_for_places(&files, 1).await;
        assert!(body.frame().await.is_some_and(|piece| piece.is_ok()), "what was on its way");
        assert!(body.frame().await.is_some_and(|piece| piece.is_err()), "nobody takes it for the whole");
    }

    #[tokio::test]
    async fn an_account_has_few_places_and_a_small_file_none() {
        let world = World::new();
        let files = Files::new(OF_ACCOUNT_MAX + 1);
        let mut places = Vec::new();
        for _ in 0..OF_ACCOUNT_MAX {
            places.push(files.place(&world.app, "7").await.expect("a place"));
        }
        assert!(files.place(&world.app, "7").await.is_none());
        let place = files.place(&world.app, "8").await.expect("another account's");
        let small = body(&world.app, vec![0; PIECE_BYTES], place);
        assert_eq!(files.places.available_permits(), 1);
        places.pop();
        assert!(files.place(&world.app, "7").await.is_some());
        drop(small);
    }
}

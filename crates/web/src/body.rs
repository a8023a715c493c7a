//! Reads the bodies of requests within bounds: on their size, on the time they may take, on how many large ones are read
//! at a time, and on how slowly one of those may come.
//!
//! Up to 1 MiB a body needs no place of its own: the number of requests bounds those. What goes on beyond that needs one
//! of a few places, and keeps it until its answer is made. Whoever gets none in time is told to come back, and whoever
//! has one and does not get on loses it. So no client can keep the others from sending large bodies by sending slowly.

use crate::App;
use crate::call::BATCH_BYTES_MAX;
use crate::problem::{Code, Problem};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::ops::Deref;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// Bodies up to this size need no place of their own.
const SMALL_BODY_BYTES_MAX: usize = 1024 * 1024;
/// How much of a body must come, while it has a place, within [`crate::Settings::body_progress_timeout`]: 64 KiB a second
/// as it is set. What is slower would hardly get more than 1 MiB within the time that a body has in all.
const PROGRESS_BYTES_MIN: usize = 128 * 1024;
/// How much of a body that is not wanted is read before the answer.
const DISCARDED_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// A whole body. One that needed a place keeps it until this is dropped, which is when the answer is made: what is read
/// and not yet worked on needs memory too.
#[derive(Debug)]
pub(crate) struct WholeBody {
    bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl WholeBody {
    /// No body.
    pub(crate) const fn empty() -> WholeBody {
        WholeBody { bytes: Bytes::new(), _place: None }
    }
}

impl Deref for WholeBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a whole body, as long as it comes in time and is not too large.
///
/// # Errors
/// `body_too_large`; `malformed` when it breaks off; `unavailable` when it takes too long, or too many large ones are
/// being read or worked on.
pub(crate) async fn read_body(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<WholeBody, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let taken = BytesMut::with_capacity(announced.map_or(0, |length| length.min(SMALL_BODY_BYTES_MAX)));
    let mut reading = Reading { body, bytes_max, taken, place: None, is_whole: false };
    let read = timeout(app.settings().body_timeout, async {
        if announced.is_some_and(|length| bytes_max < length) {
            reading.discard().await;
            return Err(too_large(bytes_max));
        }
        reading.all(app).await
    });
    read.await.unwrap_or_else(|_| Err(too_slow()))?;
    Ok(WholeBody { bytes: reading.taken.freeze(), _place: reading.place })
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body may have at most {bytes_max} bytes; split it"))
}

fn too_slow() -> Problem {
    Problem::new(Code::Unavailable, "the body did not come in time; send it again, in smaller parts if the way is slow")
}

/// A body of which a part has come.
struct Reading {
    body: Body,
    bytes_max: usize,
    taken: BytesMut,
    place: Option<OwnedSemaphorePermit>,
    is_whole: bool,
}

impl Reading {
    async fn all(&mut self, app: &App) -> Result<(), Problem> {
        self.up_to(SMALL_BODY_BYTES_MAX).await?;
        if self.is_whole {
            return Ok(());
        }
        self.place = place(app).await;
        if self.place.is_none() {
            self.discard().await;
            return Err(Problem::new(
                Code::Unavailable,
                "as many large bodies are being read or worked on as may be at a time; send it again in a moment",
            ));
        }
        while !self.is_whole {
            let more = self.up_to(self.taken.len() + PROGRESS_BYTES_MIN);
            timeout(app.settings().body_progress_timeout, more).await.map_err(|_| too_slow())??;
        }
        Ok(())
    }

    /// Reads until there are more bytes than these, or all there are.
    async fn up_to(&mut self, bytes: usize) -> Result<(), Problem> {
        while self.taken.len() <= bytes {
            let Some(frame) = self.body.frame().await else {
                self.is_whole = true;
                return Ok(());
            };
            let frame = frame.map_err(|_| Problem::malformed("the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if self.bytes_max < self.taken.len() + data.len() {
                return Err(too_large(self.bytes_max));
            }
            self.taken.extend_from_slice(&data);
        }
        Ok(())
    }

    /// Reads on without keeping anything, so that a client that sends before it listens hears why it was turned away.
    async fn discard(&mut self) {
        self.taken = BytesMut::new();
        let mut rest = DISCARDED_BYTES_MAX;
        while let Some(Ok(frame)) = self.body.frame().await {
            rest = rest.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if rest == 0 {
                return;
            }
        }
    }
}

/// A place for a large body, if one becomes free in time.
async fn place(app: &App) -> Option<OwnedSemaphorePermit> {
    timeout(app.settings().body_place_timeout, app.large_bodies().clone().acquire_owned()).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::World;

    #[tokio::test]
    async fn a_large_body_keeps_its_place_until_it_is_dropped_and_a_small_one_needs_none() {
        let world = World::new();
        let places = || world.app.large_bodies().available_permits();
        let free = places();
        for (bytes, taken) in [(SMALL_BODY_BYTES_MAX, 0), (2 * SMALL_BODY_BYTES_MAX, 1)] {
            let body = Body::from(vec![b' '; bytes]);
            let read = read_body(&world.app, &HeaderMap::new(), body, BATCH_BYTES_MAX).await.expect("a body");
            assert_eq!((read.len(), places()), (bytes, free - taken));
            drop(read);
            assert_eq!(places(), free);
        }
    }
}

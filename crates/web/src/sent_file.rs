//! The body of an answer that is a file.

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes given to a connection at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A file that keeps its place among those that are sent for as long as it is in memory: until its client took all but the
/// last piece, or went away.
#[derive(Debug)]
pub(crate) struct SentFile {
    rest: Bytes,
    _place: OwnedSemaphorePermit,
}

impl SentFile {
    /// This file as a body.
    pub(crate) fn body(bytes: Vec<u8>, place: OwnedSemaphorePermit) -> Body {
        Body::new(SentFile { rest: bytes.into(), _place: place })
    }
}

impl hyper::body::Body for SentFile {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece_bytes = PIECE_BYTES.min(self.rest.len());
        let piece = self.rest.split_to(piece_bytes);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn a_file_keeps_its_place_until_it_was_sent() {
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().try_acquire_owned().expect("a place");
        let file: Vec<u8> = (0..PIECE_BYTES * 2 + 1).map(|at| u8::try_from(at % 251).expect("a byte")).collect();
        let mut body = SentFile::body(file.clone(), place);
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            assert_eq!(places.available_permits(), 0);
            sent.extend_from_slice(&frame.expect("a piece").into_data().expect("data"));
        }
        drop(body);
        assert!(sent == file && places.available_permits() == 1);
    }
}

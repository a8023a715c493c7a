//! Answers that are sent piece by piece, as their pieces come.

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A body of what comes here. With its length in bytes, if that is known; one that ends before is broken off, whatever the
/// protocol, so that its client does not take a part for the whole.
pub(crate) fn body(pieces: mpsc::Receiver<Bytes>, length: Option<u64>) -> Body {
    Body::new(Pieces { pieces, left: length })
}

struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    left: Option<u64>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(piece) => {
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                Some(Ok(Frame::data(piece)))
            }
            None => self.left.filter(|left| 0 < *left).map(|_| Err(ErrorKind::UnexpectedEof.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

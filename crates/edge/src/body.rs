//! Bodies on their way: requests that can be sent again, responses that keep their backend in use until they end.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::backend::InFlight;

/// Where the request body of each attempt comes from.
pub(crate) enum Source {
    /// The whole body; there can be any number of attempts.
    Bytes(Bytes),
    /// A stream; there can be another attempt as long as nothing was taken from it.
    Stream(Arc<Mutex<Option<Incoming>>>),
}

impl Source {
    pub(crate) fn stream(body: Incoming) -> Self {
        Self::Stream(Arc::new(Mutex::new(Some(body))))
    }

    /// The body for one attempt.
    pub(crate) fn attempt(&self) -> Outbound {
        match self {
            Self::Bytes(bytes) => Outbound::Bytes(Full::new(bytes.clone())),
            Self::Stream(slot) => Outbound::Stream {
                slot: slot.clone(),
                taken: None,
            },
        }
    }

    /// Whether another attempt would send the whole body.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Bytes(_) => true,
            Self::Stream(slot) => slot
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some(),
        }
    }
}

/// The request body of one attempt.
pub(crate) enum Outbound {
    Bytes(Full<Bytes>),
    Stream {
        slot: Arc<Mutex<Option<Incoming>>>,
        taken: Option<Incoming>,
    },
}

impl Outbound {
    /// What the stream says about itself, wherever it is; `gone` when another attempt took it.
    fn describe<T>(
        slot: &Mutex<Option<Incoming>>,
        taken: Option<&Incoming>,
        of: fn(&Incoming) -> T,
        gone: T,
    ) -> T {
        match taken {
            Some(body) => of(body),
            None => slot
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .map_or(gone, of),
        }
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Bytes(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Stream { slot, taken } => {
                if taken.is_none() {
                    *taken = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                }
                match taken {
                    Some(body) => Pin::new(body).poll_frame(cx),
                    None => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(body) => body.is_end_stream(),
            Self::Stream { slot, taken } => {
                Self::describe(slot, taken.as_ref(), Body::is_end_stream, true)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(body) => body.size_hint(),
            Self::Stream { slot, taken } => Self::describe(
                slot,
                taken.as_ref(),
                Body::size_hint,
                SizeHint::with_exact(0),
            ),
        }
    }
}

/// A response body: the edge's own text, or a backend's stream.
pub(crate) enum Reply {
    Text(Full<Bytes>),
    Stream { body: Incoming, in_flight: InFlight },
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Text(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Stream { body, in_flight } => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                if let Some(Err(_)) = frame {
                    in_flight.backend().counters.broken_response();
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(body) => body.is_end_stream(),
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(body) => body.size_hint(),
            Self::Stream { body, .. } => body.size_hint(),
        }
    }
}

//! Bytes that are let through only when they are what their digest promises.

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use futures::{Stream, stream};

use crate::digest::Hasher;
use crate::{Digest, Error, Place};

struct Verifier {
    chunks: BoxStream<'static, Result<Bytes, Error>>,
    /// The last chunk so far. It is held back until it is known whether all was good, so that whoever reads this
    /// stream never has the whole of something corrupt.
    held: Option<Bytes>,
    hasher: Hasher,
    received: u64,
    size: u64,
    digest: Digest,
    place: Place,
}

/// Passes `chunks` on, and fails before the last of them when they aren't the `size` bytes that `digest` names.
pub(crate) fn verified(
    chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    digest: Digest,
    size: u64,
    place: Place,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    let hasher = Hasher::new(digest.algorithm());
    let chunks = chunks
        .try_filter(|chunk| std::future::ready(!chunk.is_empty()))
        .boxed();
    let verifier = Some(Verifier {
        chunks,
        held: None,
        hasher,
        received: 0,
        size,
        digest,
        place,
    });
    stream::try_unfold(verifier, async |verifier| match verifier {
        Some(verifier) => verifier.step().await,
        None => Ok(None),
    })
}

impl Verifier {
    async fn step(mut self) -> Result<Option<(Bytes, Option<Self>)>, Error> {
        while let Some(chunk) = self.chunks.next().await.transpose()? {
            self.received += chunk.len() as u64;
            if self.received > self.size {
                return Err(Error::corrupt(
                    &self.place,
                    format!("it is longer than its {} bytes", self.size),
                ));
            }
            self.hasher.update(&chunk);
            if let Some(ready) = self.held.replace(chunk) {
                return Ok(Some((ready, Some(self))));
            }
        }
        let last = self.held.take();
        self.judge()?;
        Ok(last.map(|last| (last, None)))
    }

    fn judge(self) -> Result<(), Error> {
        if self.received != self.size {
            let reason = format!("it has {} bytes instead of {}", self.received, self.size);
            return Err(Error::corrupt(&self.place, reason));
        }
        let found = self.hasher.finish();
        if found == self.digest {
            return Ok(());
        }
        Err(Error::corrupt(
            &self.place,
            format!("its digest is {found} instead of {}", self.digest),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    fn place() -> Place {
        Place {
            doing: "reading",
            registry: "r".to_owned(),
            repository: None,
            reference: None,
        }
    }

    /// What a reader gets of `chunks`, and how it ends.
    async fn read(chunks: &[&'static [u8]], promised: &[u8]) -> (Vec<u8>, Option<ErrorClass>) {
        let source = stream::iter(
            chunks
                .iter()
                .map(|chunk| Ok(Bytes::from_static(chunk)))
                .collect::<Vec<_>>(),
        );
        let size = promised.len() as u64;
        let mut stream =
            std::pin::pin!(verified(source, Digest::sha256_of(promised), size, place()));
        let mut got = Vec::new();
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => got.extend_from_slice(&chunk),
                Err(error) => return (got, Some(error.class())),
            }
        }
        (got, None)
    }

    #[tokio::test]
    async fn good_bytes_pass_whole() {
        assert_eq!(
            read(&[b"ab", b"", b"cd"], b"abcd").await,
            (b"abcd".to_vec(), None)
        );
        assert_eq!(read(&[], b"").await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn a_reader_never_gets_the_whole_of_something_corrupt() {
        assert_eq!(
            read(&[b"ab", b"cX"], b"abcd").await,
            (b"ab".to_vec(), Some(ErrorClass::Corrupt))
        );
        assert_eq!(
            read(&[b"abcX"], b"abcd").await,
            (Vec::new(), Some(ErrorClass::Corrupt))
        );
        assert_eq!(
            read(&[b"ab"], b"abcd").await,
            (Vec::new(), Some(ErrorClass::Corrupt))
        );
        assert_eq!(
            read(&[b"ab", b"cd", b"ef"], b"abcd").await,
            (b"ab".to_vec(), Some(ErrorClass::Corrupt))
        );
    }
}

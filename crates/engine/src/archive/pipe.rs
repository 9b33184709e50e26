//! The tar crate reads and writes blocking; these pipes connect it to streams, with bounded memory.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use futures::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{ByteStream, byte_stream};

/// Chunks under way between the two sides.
const CHUNKS: usize = 8;
/// The size of a chunk that is written.
const CHUNK_BYTES: usize = 64 << 10;

/// A stream of what a blocking function writes.
pub(crate) fn produce<F>(work: F) -> ByteStream
where
    F: FnOnce(&mut Writer) -> io::Result<()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(CHUNKS);
    // The thread ends at the latest when the stream is dropped: its writes fail then.
    drop(tokio::task::spawn_blocking(move || {
        let mut writer = Writer {
            sender,
            buffer: BytesMut::with_capacity(CHUNK_BYTES),
        };
        if let Err(error) = work(&mut writer).and_then(|()| writer.flush()) {
            writer.sender.blocking_send(Err(error)).ok();
        }
    }));
    byte_stream(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}

/// A stream of what a blocking function makes of another stream.
pub(crate) fn transform<F>(input: ByteStream, work: F) -> ByteStream
where
    F: FnOnce(&mut Reader, &mut Writer) -> io::Result<()> + Send + 'static,
{
    let (feed, chunks) = mpsc::channel(CHUNKS);
    let mut reader = Reader {
        chunks,
        current: Bytes::new(),
    };
    let output = produce(move |writer| work(&mut reader, writer));
    // Feeding is polled together with reading, so that no task outlives the stream.
    let feeding = stream::once(feed_all(input, feed)).filter_map(|()| async { None });
    byte_stream(stream::select(feeding, output))
}

async fn feed_all(mut input: ByteStream, feed: mpsc::Sender<io::Result<Bytes>>) {
    while let Some(chunk) = input.next().await {
        if feed.send(chunk).await.is_err() {
            return;
        }
    }
}

/// The blocking end of a stream that is read.
pub(crate) struct Reader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// The blocking end of a stream that is written.
pub(crate) struct Writer {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK_BYTES));
        self.sender
            .blocking_send(Ok(chunk.freeze()))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

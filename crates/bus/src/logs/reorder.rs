//! Puts the chunks of one writer back in order and drops repeated ones.

use std::collections::BTreeMap;

use super::chunk::LogChunk;

/// How many chunks a writer has under way at most: a chunk that is this far behind is not coming any more.
pub(crate) const WINDOW: u64 = 8;

/// The chunks of one writer that wait for their predecessors.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    next: u64,
    waiting: BTreeMap<u64, LogChunk>,
}

impl Reorder {
    /// Takes a chunk, and gives those that are in order now.
    pub(crate) fn push(&mut self, chunk: LogChunk) -> Vec<LogChunk> {
        if chunk.number >= self.next {
            self.waiting.insert(chunk.number, chunk);
        }
        let newest = self
            .waiting
            .keys()
            .next_back()
            .copied()
            .unwrap_or(self.next);
        let mut ready = Vec::new();
        while let Some(entry) = self.waiting.first_entry() {
            let number = *entry.key();
            if number > self.next && newest < self.next + WINDOW {
                break;
            }
            self.next = number + 1;
            ready.push(entry.remove());
        }
        ready
    }

    /// Gives what waits, in order.
    pub(crate) fn release(&mut self) -> Vec<LogChunk> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(chunks: &[LogChunk]) -> Vec<u64> {
        chunks.iter().map(|chunk| chunk.number).collect()
    }

    fn push(order: &mut Reorder, number: u64) -> Vec<u64> {
        numbers(&order.push(LogChunk {
            number,
            ..LogChunk::default()
        }))
    }

    #[test]
    fn a_chunk_waits_for_its_predecessor_and_repeats_are_dropped() {
        let mut order = Reorder::default();
        assert_eq!(push(&mut order, 0), [0]);
        assert!(push(&mut order, 2).is_empty());
        assert!(push(&mut order, 0).is_empty());
        assert_eq!(push(&mut order, 1), [1, 2]);
    }

    #[test]
    fn what_is_too_far_behind_is_not_waited_for() {
        let mut order = Reorder::default();
        for number in 1..WINDOW {
            assert!(push(&mut order, number).is_empty());
        }
        assert_eq!(push(&mut order, WINDOW), (1..=WINDOW).collect::<Vec<_>>());
    }

    #[test]
    fn a_log_whose_beginning_has_expired_is_read_from_what_is_left() {
        assert_eq!(push(&mut Reorder::default(), 1000), [1000]);
    }

    #[test]
    fn at_the_end_nothing_is_withheld() {
        let mut order = Reorder::default();
        push(&mut order, 3);
        push(&mut order, 2);
        assert_eq!(numbers(&order.release()), [2, 3]);
    }
}

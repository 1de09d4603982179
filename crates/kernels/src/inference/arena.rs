//! Offsets in the arena. What is never needed at the same time may share bytes.

use std::ops::RangeInclusive;

/// Bytes of a cache line. Every offset is a multiple of it.
const LINE: usize = 64;

/// Collects requests for room, then assigns an offset to each.
#[derive(Default)]
pub(super) struct Arena {
    requests: Vec<Request>,
}

struct Request {
    bytes: usize,
    /// From the first operation that writes it to the last that reads it.
    operations: RangeInclusive<usize>,
}

/// A request's number, by which its offset is found later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room(usize);

/// The offsets of all requests, in bytes.
#[derive(Debug)]
pub(super) struct Rooms {
    offsets: Vec<usize>,
    /// Bytes of the arena.
    pub(super) bytes: usize,
}

impl Rooms {
    pub(super) fn offset(&self, room: Room) -> usize {
        self.offsets[room.0]
    }

    /// Adds room that is needed all the time and therefore shared with nothing.
    pub(super) fn append(&mut self, bytes: usize) -> usize {
        let offset = self.bytes;
        self.bytes += bytes.next_multiple_of(LINE);
        offset
    }
}

impl Arena {
    pub(super) fn request(&mut self, bytes: usize, operations: RangeInclusive<usize>) -> Room {
        let bytes = bytes.next_multiple_of(LINE);
        self.requests.push(Request { bytes, operations });
        Room(self.requests.len() - 1)
    }

    /// Assigns the offsets, the largest request first. Each gets the lowest offset at which it
    /// overlaps nothing that is needed at the same time.
    pub(super) fn assign(self) -> Rooms {
        let mut order: Vec<usize> = (0..self.requests.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.requests[index].bytes));
        let mut offsets = vec![0; self.requests.len()];
        let mut bytes = 0;
        // Assigned requests by offset.
        let mut assigned: Vec<usize> = Vec::new();
        for index in order {
            let request = &self.requests[index];
            let mut offset = 0;
            for &other in &assigned {
                let (start, other) = (offsets[other], &self.requests[other]);
                if request.meets(other) && start < offset + request.bytes {
                    offset = offset.max(start + other.bytes);
                }
            }
            offsets[index] = offset;
            bytes = bytes.max(offset + request.bytes);
            let at = assigned.partition_point(|&other| offsets[other] <= offset);
            assigned.insert(at, index);
        }
        Rooms { offsets, bytes }
    }
}

impl Request {
    fn meets(&self, other: &Self) -> bool {
        self.operations.start() <= other.operations.end()
            && other.operations.start() <= self.operations.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_together_lies_apart() {
        let mut state = 1u64;
        let mut next = |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % most
        };
        for _ in 0..200 {
            let mut arena = Arena::default();
            let requests: Vec<_> = (0..next(12))
                .map(|_| {
                    let (bytes, first) = (next(1000), next(10));
                    (bytes, first..=first + next(4))
                })
                .collect();
            let rooms: Vec<_> = (requests.iter())
                .map(|(bytes, operations)| arena.request(*bytes, operations.clone()))
                .collect();
            let assigned = arena.assign();
            for (a, (bytes, operations)) in rooms.iter().zip(&requests) {
                let start = assigned.offset(*a);
                assert!(start % LINE == 0 && start + bytes <= assigned.bytes);
                for (b, (other_bytes, other)) in rooms.iter().zip(&requests) {
                    let other_start = assigned.offset(*b);
                    let together = operations
                        .clone()
                        .any(|operation| other.contains(&operation));
                    let apart = start + bytes <= other_start || other_start + other_bytes <= start;
                    assert!(a.0 == b.0 || !together || apart);
                }
            }
        }
    }

    #[test]
    fn maps_of_a_chain_take_turns() {
        let mut arena = Arena::default();
        let rooms: Vec<_> = [400, 1000, 460, 460, 220, 220, 110]
            .iter()
            .enumerate()
            .map(|(operation, bytes)| arena.request(64 * bytes, operation..=operation + 1))
            .collect();
        let assigned = arena.assign();
        assert_eq!(assigned.bytes, 64 * 1460);
        assert_eq!(assigned.offset(rooms[1]), assigned.offset(rooms[3]));
    }
}

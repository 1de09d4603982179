//! Messages under way, which own their bytes until MPI has done with them.

use std::mem::ManuallyDrop;

use mpi::point_to_point::Message;
use mpi::request::{Request, StaticScope};
use mpi::topology::Process;
use mpi::traits::Destination;

/// A message that is being sent or received. If it is dropped before its end, its bytes are never
/// freed.
pub(super) struct UnderWay {
    /// Pointer, length and capacity of a vector.
    bytes: (*mut u8, usize, usize),
    /// None once it is done.
    request: Option<Request<'static, [u8], StaticScope>>,
}

impl UnderWay {
    /// Begins to send.
    pub(super) fn send(to: &Process<'_>, message: Vec<u8>) -> Self {
        let bytes = into_raw(message);
        // SAFETY: the vector lives until `done` gives it away, which is after MPI has read it, and
        // nobody writes it.
        let message = unsafe { std::slice::from_raw_parts(bytes.0, bytes.1) };
        let request = Some(to.immediate_send(StaticScope, message));
        Self { bytes, request }
    }

    /// Begins to receive a message that has arrived, of some number of bytes, in the memory of an
    /// earlier one.
    pub(super) fn receive(message: Message, length: usize, mut memory: Vec<u8>) -> Self {
        memory.resize(length, 0);
        let bytes = into_raw(memory);
        // SAFETY: the vector lives until `done` gives it away, which is after MPI has written it, and
        // nobody else uses it until then.
        let to = unsafe { std::slice::from_raw_parts_mut(bytes.0, bytes.1) };
        let request = Some(message.immediate_matched_receive_into(StaticScope, to));
        Self { bytes, request }
    }

    /// The bytes, if MPI has done with them. Never twice.
    pub(super) fn done(&mut self) -> Option<Vec<u8>> {
        match self.request.take()?.test() {
            Ok(_) => {
                let (bytes, length, capacity) = self.bytes;
                // SAFETY: from `into_raw`. The request, which used the bytes, is completed and gone,
                // and without it this is not reached again.
                Some(unsafe { Vec::from_raw_parts(bytes, length, capacity) })
            }
            Err(request) => {
                self.request = Some(request);
                None
            }
        }
    }
}

fn into_raw(bytes: Vec<u8>) -> (*mut u8, usize, usize) {
    let mut bytes = ManuallyDrop::new(bytes);
    (bytes.as_mut_ptr(), bytes.len(), bytes.capacity())
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // MPI goes on using the bytes. A request may not be dropped, either.
        std::mem::forget(self.request.take());
    }
}

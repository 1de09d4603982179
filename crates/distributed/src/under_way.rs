//! Messages under way, which own their bytes until MPI has done with them.

use mpi::point_to_point::Message;
use mpi::request::{Request, StaticScope};
use mpi::topology::Process;
use mpi::traits::Destination;

/// A message that is being sent or received. If it is dropped before its end, its bytes are never
/// freed.
pub(super) struct UnderWay {
    bytes: *mut [u8],
    /// None once it is done.
    request: Option<Request<'static, [u8], StaticScope>>,
}

impl UnderWay {
    /// Begins to send.
    pub(super) fn send(to: &Process<'_>, message: Vec<u8>) -> Self {
        let bytes = Box::into_raw(message.into_boxed_slice());
        // SAFETY: the allocation lives until `done` frees it, which is after MPI has read it, and
        // nobody writes it.
        let request = to.immediate_send(StaticScope, unsafe { &*bytes });
        let request = Some(request);
        Self { bytes, request }
    }

    /// Begins to receive a message that has arrived, of some number of bytes.
    pub(super) fn receive(message: Message, length: usize) -> Self {
        let bytes = Box::into_raw(vec![0u8; length].into_boxed_slice());
        // SAFETY: the allocation lives until `done` gives it away, which is after MPI has written it,
        // and nobody else uses it until then.
        let to = unsafe { &mut *bytes };
        let request = Some(message.immediate_matched_receive_into(StaticScope, to));
        Self { bytes, request }
    }

    /// The bytes, if MPI has done with them. Never twice.
    pub(super) fn done(&mut self) -> Option<Vec<u8>> {
        match self.request.take()?.test() {
            Ok(_) => {
                // SAFETY: from `into_raw`. The request, which used the bytes, is completed and gone,
                // and without it this is not reached again.
                Some(unsafe { Box::from_raw(self.bytes) }.into_vec())
            }
            Err(request) => {
                self.request = Some(request);
                None
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // MPI goes on using the bytes. A request may not be dropped, either.
        std::mem::forget(self.request.take());
    }
}

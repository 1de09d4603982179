//! In a browser, only JavaScript can start a thread, and a module has no clock. JavaScript lends
//! threads to a team: a worker on the same memory calls [`lend_thread`]. Until it does, the caller
//! of the team computes its share.

use std::io::{Error, ErrorKind};
use std::sync::{Mutex, PoisonError};

/// How often an idle worker asks before it sleeps: about 100 microseconds.
const PATIENCE: usize = 100;

type Work = Box<dyn FnOnce() + Send>;

/// What threads of teams would do that have no thread yet.
static WAITING: Mutex<Vec<Work>> = Mutex::new(Vec::new());

/// A thread of a team, which JavaScript ends.
pub(super) struct Worker;

impl Worker {
    /// Leaves the work to a thread that is lent.
    pub(super) fn start(_: usize, work: impl FnOnce() + Send + 'static) -> std::io::Result<Self> {
        // Otherwise no other thread has this memory.
        if !cfg!(target_feature = "atomics") {
            return Err(Error::from(ErrorKind::Unsupported));
        }
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Box::new(work));
        Ok(Self)
    }

    pub(super) fn end(self) {}
}

/// Makes the calling thread one of a team, until the team ends. Whether a team lacked one.
pub fn lend_thread() -> bool {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    let work = waiting.pop();
    drop(waiting);
    work.map(|work| work()).is_some()
}

/// How long a worker has been idle.
#[derive(Default)]
pub(super) struct Idleness(usize);

impl Idleness {
    /// Whether it has been idle for long, asked after every few attempts.
    pub(super) fn is_long(&mut self) -> bool {
        self.0 += 1;
        self.0 > PATIENCE
    }
}

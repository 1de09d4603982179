//! Memory that several threads share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes, of which threads take shares. A share that is larger than all of it is given
/// to a thread alone.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes: u64,
    taken: Mutex<u64>,
    given_back: Condvar,
}

/// Some of the bytes, given back on drop.
pub(crate) struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            taken: Mutex::default(),
            given_back: Condvar::new(),
        }
    }

    /// Waits until that many bytes are free. Who holds a share must not ask for another.
    pub(crate) fn take(&self, bytes: u64) -> Share<'_> {
        let mut taken = self.lock();
        while *taken > 0 && taken.saturating_add(bytes) > self.bytes {
            taken = self
                .given_back
                .wait(taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *taken = taken.saturating_add(bytes);
        Share {
            budget: self,
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        // Nothing that can panic happens under the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut taken = self.budget.lock();
        *taken = taken.saturating_sub(self.bytes);
        drop(taken);
        self.budget.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn never_more_than_the_budget_but_for_one_alone() {
        let budget = Budget::new(100);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in [30, 40, 50, 60, 100, 250] {
                let (budget, now, most) = (&budget, &now, &most);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let share = budget.take(bytes);
                        let held = now.fetch_add(bytes, Ordering::SeqCst) + bytes;
                        assert!(held <= 100 || held == bytes, "{held}");
                        most.fetch_max(held, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(bytes, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert_eq!(*budget.lock(), 0);
        assert_eq!(most.into_inner(), 250);
    }
}

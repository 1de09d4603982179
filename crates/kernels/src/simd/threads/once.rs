//! Work that is done once, such as packing weights, on all cores that the process may use.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Most threads that are started. What packs a network is done when a few more would begin.
const MOST: usize = 3;

/// What `call` makes of each item, in order. The first items are begun first. If no thread can be
/// started, this one does all.
pub(crate) fn on_all_cores<T: Send, R: Send>(
    items: Vec<T>,
    call: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let helpers = thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    let helpers = helpers.min(items.len().saturating_sub(1)).min(MOST);
    let mut done = Vec::with_capacity(items.len());
    let results = Mutex::new(&mut done);
    let items = Mutex::new(items.into_iter().enumerate());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((index, item)) = next() {
            let result = (index, call(item));
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            // The others do what a thread that does not start would have done.
            if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        for count in [0, 1, 2, 100] {
            let squares = on_all_cores((0..count).collect(), |n: usize| n * n);
            let expected: Vec<_> = (0..count).map(|n| n * n).collect();
            assert_eq!(squares, expected);
        }
    }
}

//! In a browser, whose module is kept small, one thread does all.

/// What `call` makes of each item, in order.
pub(crate) fn on_all_cores<T, R>(items: Vec<T>, call: impl Fn(T) -> R) -> Vec<R> {
    items.into_iter().map(call).collect()
}

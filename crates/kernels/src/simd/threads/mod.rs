//! A team of threads and their barrier.

mod cores;
pub(crate) mod team;

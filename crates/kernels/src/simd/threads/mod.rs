//! A team of threads and their barrier.

pub(crate) mod team;

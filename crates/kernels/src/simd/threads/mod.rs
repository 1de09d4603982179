//! A team of threads and their barrier.

mod cores;
#[cfg_attr(target_arch = "wasm32", path = "host_wasm.rs")]
mod host;
pub(crate) mod team;

#[cfg(target_arch = "wasm32")]
pub use host::lend_thread;

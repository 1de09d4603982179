//! A team of threads and their barrier, and threads for work that is done once.

mod cores;
#[cfg_attr(target_arch = "wasm32", path = "host_wasm.rs")]
mod host;
#[cfg_attr(target_arch = "wasm32", path = "once_wasm.rs")]
mod once;
pub(crate) mod team;

#[cfg(target_arch = "wasm32")]
pub use host::lend_thread;
pub(crate) use once::on_all_cores;

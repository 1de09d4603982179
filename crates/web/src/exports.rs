//! The functions that JavaScript calls. Addresses and lengths are numbers; a function that can fail
//! returns 1 if it did, and `error` says why. Buffers stay where they are until the next call.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::WebError;
use crate::module::Module;

static MODULE: Mutex<Module> = Mutex::new(Module::new());
static ERROR: Mutex<String> = Mutex::new(String::new());

fn module() -> MutexGuard<'static, Module> {
    // Never poisoned: a panic ends the module.
    MODULE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn last_error() -> MutexGuard<'static, String> {
    ERROR.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 0, or 1 after the error was kept.
fn status(result: Result<(), WebError>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            *last_error() = error.to_string();
            1
        }
    }
}

/// Makes room for what comes next; returns its address, or 0.
#[unsafe(no_mangle)]
pub extern "C" fn module_scratch(bytes: usize) -> usize {
    match module().scratch(bytes) {
        Ok(scratch) => scratch.as_mut_ptr().addr(),
        Err(error) => {
            status(Err(error));
            0
        }
    }
}

/// [`Module::open`].
#[unsafe(no_mangle)]
pub extern "C" fn network_open(bytes: usize) -> u32 {
    status(module().open(bytes))
}

/// [`Module::layer`].
#[unsafe(no_mangle)]
pub extern "C" fn network_layer(kind: u32) -> u32 {
    status(module().layer(kind))
}

/// [`Module::plan`].
#[unsafe(no_mangle)]
pub extern "C" fn network_plan(threads: usize) -> u32 {
    status(module().plan(threads))
}

/// [`Module::run`].
#[unsafe(no_mangle)]
pub extern "C" fn network_run() -> u32 {
    status(module().run())
}

/// Address of the input.
#[unsafe(no_mangle)]
pub extern "C" fn network_input() -> usize {
    module().input().as_mut_ptr().addr()
}

/// Number of values of the input.
#[unsafe(no_mangle)]
pub extern "C" fn network_input_length() -> usize {
    module().input().len()
}

/// Address of the features.
#[unsafe(no_mangle)]
pub extern "C" fn network_features() -> usize {
    module().features().as_ptr().addr()
}

/// Number of features.
#[unsafe(no_mangle)]
pub extern "C" fn network_features_length() -> usize {
    module().features().len()
}

/// Address of the logits.
#[unsafe(no_mangle)]
pub extern "C" fn network_logits() -> usize {
    module().logits().as_ptr().addr()
}

/// Number of logits.
#[unsafe(no_mangle)]
pub extern "C" fn network_logits_length() -> usize {
    module().logits().len()
}

/// [`Module::rule`].
#[unsafe(no_mangle)]
pub extern "C" fn photo_rule() -> u32 {
    status(module().rule())
}

/// [`Module::photo`].
#[unsafe(no_mangle)]
pub extern "C" fn photo_begin(height: usize, width: usize) -> u32 {
    status(module().photo(height, width))
}

/// [`Module::rows`].
#[unsafe(no_mangle)]
pub extern "C" fn photo_rows() -> u32 {
    status(module().rows())
}

/// [`Module::finish_photo`].
#[unsafe(no_mangle)]
pub extern "C" fn photo_finish() -> u32 {
    status(module().finish_photo())
}

/// Address of the last error's text.
#[unsafe(no_mangle)]
pub extern "C" fn last_error_text() -> usize {
    last_error().as_ptr().addr()
}

/// Bytes of the last error's text.
#[unsafe(no_mangle)]
pub extern "C" fn last_error_length() -> usize {
    last_error().len()
}

/// Room for a thread's stack and its own variables, in units of 16 bytes, which stays the thread's;
/// returns its address.
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
#[unsafe(no_mangle)]
pub extern "C" fn thread_room(units: usize) -> usize {
    vec![0u128; units].leak().as_mut_ptr().addr()
}

/// Makes the calling thread one of those that the network was planned for; never returns then.
#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
#[unsafe(no_mangle)]
pub extern "C" fn thread_work() {
    mobilenet_kernels::simd::lend_thread();
}

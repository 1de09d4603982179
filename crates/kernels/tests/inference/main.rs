//! Programs of inference, on every instruction set: against the naive reference, and variants of a
//! program against each other. They need no feature of the crate but `halves`.

#[path = "../support/instruction_sets.rs"]
mod instruction_sets;
mod layers;
#[path = "../support/random.rs"]
mod random;

mod against_reference;
mod strassen;
mod variants;

// In a browser networks of floats have no branches.
#[cfg(not(target_arch = "wasm32"))]
mod branches;
// Their cases run on several threads, of which WebAssembly has one.
#[cfg(not(target_arch = "wasm32"))]
mod integers;
#[cfg(not(target_arch = "wasm32"))]
#[path = "../support/windows.rs"]
mod windows;

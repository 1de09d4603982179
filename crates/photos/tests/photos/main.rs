//! Photos become what other frameworks make of them, and odd ones an error that says why.

#[path = "../../../model/tests/support/golden.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test binaries, each of which uses its own part"
)]
mod golden;

mod odd_photos;
mod preprocessing;

//! Networks made small: what they compute, what is written and read again, and hostile files.

#[path = "../../../model/tests/support/small_networks.rs"]
mod small_networks;

mod compression;
mod quantize;

//! A chunk of an operation, or all operations, compiled for an instruction set.

use super::context::Context;
use super::operation::Operation;
use crate::simd::team::Turn;
use crate::simd::{Kernel, Simd};

/// One chunk of one operation, for an image that all threads compute together.
pub(super) struct Chunk<'a> {
    pub(super) operation: &'a Operation,
    pub(super) context: &'a Context<'a>,
    pub(super) turn: Turn,
}

impl Kernel for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        self.operation.run(simd, self.context, self.turn);
    }
}

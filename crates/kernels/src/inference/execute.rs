//! The loop over the operations, compiled for an instruction set.

use super::context::Context;
use super::operation::Operation;
use crate::simd::{Kernel, Simd};

/// The work of one thread: all operations, with a barrier after each.
pub(super) struct Thread<'a> {
    pub(super) operations: &'a [Operation],
    pub(super) context: &'a Context<'a>,
    pub(super) number: usize,
}

impl Kernel for Thread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for operation in self.operations {
            operation.run(simd, self.context, self.number);
            self.context.barrier.wait();
        }
    }
}

//! The loop over the steps, compiled for an instruction set.

use super::context::Context;
use super::step::Step;
use crate::simd::{Kernel, Simd};

/// All steps of one thread.
pub(super) struct Thread<'a> {
    pub(super) steps: &'a [Step],
    pub(super) context: &'a Context<'a>,
    pub(super) number: usize,
}

impl Kernel for Thread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for step in self.steps {
            step.run(simd, self.context, self.number);
            self.context.barrier.wait();
        }
    }
}

//! What a thread sees of one run, and its loop over the steps.

use std::ops::Range;

use super::build::Plan;
use super::frames::Frames;
use super::input::{ImageLayout, Images};
use super::map::Map;
use crate::simd::team::Barrier;
use crate::simd::{Kernel, SharedBuffer, Simd};

/// One image's way through the steps.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) layout: ImageLayout,
    pub(super) images: &'a Images<'a>,
    pub(super) image: usize,
    /// What takes the place of the first layer's weights, where the images are 8-bit frames.
    pub(super) frames: Option<&'a Frames>,
    /// Number of threads that share the image.
    pub(super) threads: usize,
    pub(super) barrier: &'a Barrier,
    pub(super) arena: &'a SharedBuffer,
    pub(super) weights: &'a [f32],
    pub(super) output: OutputPointer,
}

/// The caller's output, of which every thread writes its own places.
#[derive(Clone, Copy)]
pub(super) struct OutputPointer(pub(super) *mut f32);

// SAFETY: the places that threads write differ (see `step` and `program`).
unsafe impl Sync for OutputPointer {}

impl OutputPointer {
    /// The place at `offset`.
    #[inline(always)]
    pub(super) fn at(self, offset: usize) -> Self {
        // wrapping_add: whether the place is inside is the business of who dereferences it.
        Self(self.0.wrapping_add(offset))
    }
}

impl Run<'_> {
    /// A place in the arena.
    #[inline(always)]
    pub(super) fn pointer(&self, place: usize) -> *mut f32 {
        self.arena.pointer(place)
    }

    /// A place in the packed weights.
    #[inline(always)]
    pub(super) fn weights(&self, place: usize) -> *const f32 {
        self.weights.as_ptr().wrapping_add(place)
    }

    /// A place in the output.
    #[inline(always)]
    pub(super) fn output(&self, place: usize) -> *mut f32 {
        self.output.at(place).0
    }

    /// The first column, zeros included, of row `y` of a window's input, or the row of zeros where
    /// the window reaches beyond the map.
    #[inline(always)]
    pub(super) fn input_row(&self, map: &Map, y: Option<usize>) -> *const f32 {
        match y {
            Some(y) => self.pointer(map.offset + y * map.row()),
            None => self.pointer(self.plan.zeros),
        }
    }

    /// Writes the zeros beside rows of a map that belong to this thread.
    #[inline(always)]
    pub(super) fn zero_columns(&self, map: &Map, rows: Range<usize>) {
        let (left, right) = (map.left * map.pixel, map.right * map.pixel);
        for y in rows {
            let start = map.offset + y * map.row();
            // SAFETY: the row lies in the arena, and belongs to this thread.
            unsafe {
                self.pointer(start).write_bytes(0, left);
                self.pointer(start + map.row() - right)
                    .write_bytes(0, right);
            }
        }
    }
}

/// The part of `count` things that belongs to a thread.
pub(super) fn share(count: usize, thread: usize, threads: usize) -> Range<usize> {
    count * thread / threads..count * (thread + 1) / threads
}

/// All steps of one thread.
pub(super) struct Thread<'a> {
    pub(super) run: &'a Run<'a>,
    pub(super) number: usize,
}

impl Kernel for Thread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for step in &self.run.plan.steps {
            step.run(simd, self.run, self.number);
            self.run.barrier.wait();
        }
    }
}

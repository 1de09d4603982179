//! A network for one input size: arena, team, and the loop over steps.

use std::ops::Range;
use std::sync::Arc;

use super::build::{Plan, build};
use super::input::{ImageLayout, Images};
use super::map::Map;
use super::packed::PackedNetwork;
use crate::error::{KernelError, check_length};
use crate::geometry::ConvGeometry;
use crate::simd::team::{Barrier, Team};
use crate::simd::{Kernel, SharedBuffer, Simd, dispatch};

/// What a program gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// The classifier's output.
    #[default]
    Logits,
    /// Pooled features.
    Features,
    /// The last map.
    Map,
}

/// Which part of the last map is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// All of it.
    Global,
    /// So many rows and columns from the top left, or all if there are fewer.
    Window([usize; 2]),
}

/// What a program is built for.
#[derive(Debug, Clone)]
pub struct ProgramConfig {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Windows of the layers, in order; fewer than the network has end it early.
    pub geometries: Vec<ConvGeometry>,
    /// What it gives.
    pub output: Output,
    /// Which part of the last map is averaged.
    pub pooling: Pooling,
    /// Order of the output map's values.
    pub layout: ImageLayout,
    /// Number of threads.
    pub threads: usize,
}

/// A network ready to run.
#[derive(Debug)]
pub struct Program {
    network: Arc<PackedNetwork>,
    plan: Plan,
    layout: ImageLayout,
    arena: SharedBuffer,
    team: Team,
    barrier: Barrier,
}

/// What a thread sees of a run.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan,
    pub(super) layout: ImageLayout,
    pub(super) images: &'a Images<'a>,
    pub(super) image: usize,
    pub(super) threads: usize,
    pub(super) barrier: &'a Barrier,
    arena: &'a SharedBuffer,
    weights: &'a [f32],
    output: OutputPointer,
}

/// The caller's output, of which every thread writes its own places.
#[derive(Clone, Copy)]
struct OutputPointer(*mut f32);

// SAFETY: the places that threads write differ (see `step`).
unsafe impl Sync for OutputPointer {}

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
        self.output.0.wrapping_add(place)
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
struct Thread<'a> {
    run: &'a Run<'a>,
    number: usize,
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

impl Program {
    /// Plans the steps, allocates the arena, starts the threads.
    ///
    /// # Errors
    /// Where a layer's window does not fit, or no thread can be started.
    pub fn new(network: Arc<PackedNetwork>, config: &ProgramConfig) -> Result<Self, KernelError> {
        if config.threads == 0 {
            return Err(KernelError::Zero { what: "threads" });
        }
        let plan = build(&network, config)?;
        let team = Team::new(config.threads).map_err(|error| KernelError::Threads {
            problem: error.to_string(),
        })?;
        Ok(Self {
            arena: SharedBuffer::zeros(plan.arena),
            barrier: Barrier::new(config.threads),
            layout: config.layout,
            network,
            plan,
            team,
        })
    }

    /// Order of an output map's values.
    pub fn layout(&self) -> ImageLayout {
        self.layout
    }

    /// Rows, columns and channels of one image's output.
    pub fn output_shape(&self) -> [usize; 3] {
        self.plan.output
    }

    /// Values of one image.
    pub fn input_len(&self) -> usize {
        let Map {
            height,
            width,
            channels,
            ..
        } = self.plan.input;
        height * width * channels
    }

    /// Values of one image's output.
    pub fn output_len(&self) -> usize {
        self.plan.output.iter().product()
    }

    /// Bytes of activations.
    pub fn arena_bytes(&self) -> usize {
        4 * self.arena.len()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Runs a batch, image by image. Allocates nothing.
    ///
    /// # Errors
    /// Where input or output have the wrong length; nothing is computed then.
    pub fn run(&mut self, images: &Images<'_>, output: &mut [f32]) -> Result<(), KernelError> {
        let (one, result) = (self.input_len(), self.output_len());
        let batch = images.len() / one.max(1);
        check_length("input", images.len(), &[batch.max(1), one])?;
        check_length("output", output.len(), &[batch, result])?;
        images.check(self.plan.input.channels)?;
        for (image, output) in output.chunks_exact_mut(result).enumerate() {
            let run = Run {
                plan: &self.plan,
                layout: self.layout,
                images,
                image,
                threads: self.team.threads(),
                barrier: &self.barrier,
                arena: &self.arena,
                weights: self.network.buffer.as_slice(),
                output: OutputPointer(output.as_mut_ptr()),
            };
            let isa = self.network.isa();
            self.team
                .run(&|number| dispatch(isa, Thread { run: &run, number }));
        }
        Ok(())
    }
}

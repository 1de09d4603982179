//! A network of integers for one image size: its arena, its threads, and which of them computes
//! which image.

use std::sync::Arc;

use super::context::Context;
use super::images::{Destination, IntegerImages, IntegerOutput};
use super::packed::PackedIntegers;
use super::quantizer::Quantizer;
use super::schedule::Schedule;
use crate::error::{KernelError, check_length};
use crate::simd::SharedBuffer;
use crate::simd::team::{MOST, Team, Turn};

/// What a program of integers is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerProgramConfig {
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// The layers whose outputs are returned, in any number and order.
    pub outputs: Vec<usize>,
    /// Number of threads.
    pub threads: usize,
}

/// A network of integers ready to run.
#[derive(Debug)]
pub struct IntegerProgram {
    weights: Arc<PackedIntegers>,
    schedule: Schedule,
    /// One per thread, each with all maps and one thread's scratch; the first has every thread's.
    /// The system provides their memory only when a batch first uses it.
    arenas: Vec<SharedBuffer>,
    quantizer: Quantizer,
    team: Team,
    /// Number of chunks of each step.
    chunks: Vec<usize>,
    layers: Vec<usize>,
    /// The caller's outputs during a run. They are kept so that a run allocates nothing.
    outputs: Vec<Destination>,
    size: [usize; 2],
}

impl IntegerProgram {
    /// Plans the steps, allocates the arena, starts the threads.
    ///
    /// # Errors
    /// If a layer's window does not fit, an output does not exist, or a thread cannot be started.
    pub fn new(
        weights: Arc<PackedIntegers>,
        config: &IntegerProgramConfig,
    ) -> Result<Self, KernelError> {
        let threads = config.threads;
        if threads == 0 {
            return Err(KernelError::Zero { what: "threads" });
        }
        if config.outputs.is_empty() {
            return Err(KernelError::Zero { what: "outputs" });
        }
        let schedule = Schedule::new(&weights, config.size, &config.outputs)?;
        let team = Team::new(threads).map_err(|error| KernelError::Threads {
            problem: error.to_string(),
        })?;
        let scratch = |number: usize| if number == 0 { threads } else { 1 };
        let arenas = (0..threads).map(|number| {
            SharedBuffer::of_bytes(schedule.maps + scratch(number) * schedule.scratch)
        });
        let steps = schedule.steps.iter();
        let chunks = steps.map(|step| step.chunks(&weights.layers, threads));
        Ok(Self {
            arenas: arenas.collect(),
            quantizer: Quantizer::new(schedule.first, weights.arithmetic(), weights.isa()),
            team,
            chunks: chunks.collect(),
            layers: config.outputs.clone(),
            outputs: config
                .outputs
                .iter()
                .map(|_| Destination::default())
                .collect(),
            size: config.size,
            weights,
            schedule,
        })
    }

    /// Rows, columns and channels of one image's outputs.
    pub fn output_shapes(&self) -> &[[usize; 3]] {
        &self.schedule.shapes
    }

    /// Number of values of one image.
    pub fn input_len(&self) -> usize {
        self.size[0] * self.size[1] * self.weights.input_shape()[2]
    }

    /// Bytes of the arena in which all threads compute an image together.
    pub fn arena_bytes(&self) -> usize {
        self.schedule.maps + self.threads() * self.schedule.scratch
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Runs a batch and writes each output, `[batch, ...]`, to its own slice. As many images as can
    /// be divided evenly are computed by one thread each. All threads together compute the rest one
    /// by one. The bits are the same either way. Nothing is allocated.
    ///
    /// # Errors
    /// If the input or an output has the wrong length or type, or the number of outputs differs
    /// from the program's. Nothing is computed then.
    pub fn run(
        &mut self,
        images: &IntegerImages<'_>,
        outputs: &mut [IntegerOutput<'_>],
    ) -> Result<(), KernelError> {
        let one = self.input_len();
        let batch = images.len() / one.max(1);
        check_length("input", images.len(), &[batch.max(1), one])?;
        images.check(self.weights.input())?;
        check_length("outputs", outputs.len(), &[self.outputs.len()])?;
        for ((output, &layer), shape) in outputs.iter().zip(&self.layers).zip(&self.schedule.shapes)
        {
            let [height, width, channels] = *shape;
            check_length("output", output.len(), &[batch, height, width, channels])?;
            output.check(self.weights.layers[layer].output)?;
        }
        for (destination, output) in self.outputs.iter_mut().zip(outputs) {
            destination.set(output);
        }
        let threads = self.team.threads();
        let context = |image: usize, arena: usize| Context {
            images,
            image,
            quantizer: &self.quantizer,
            products: self.weights.isa.products(),
            arena: &self.arenas[arena],
            scratch: [self.schedule.maps, self.schedule.scratch],
            layers: &self.weights.layers,
            outputs: &self.outputs,
        };
        let steps = &self.schedule.steps;
        let mut first = 0;
        if threads > 1 && batch >= threads {
            first = batch / threads * threads;
            self.team.run_phases(&[first.min(MOST)], &|turn| {
                for image in turn.share(first) {
                    let context = context(image, turn.worker);
                    for step in steps {
                        step.run(&context, Turn::ALONE);
                    }
                }
            });
        }
        for image in first..batch {
            let context = &context(image, 0);
            self.team
                .run_phases(&self.chunks, &|turn| steps[turn.phase].run(context, turn));
        }
        Ok(())
    }
}

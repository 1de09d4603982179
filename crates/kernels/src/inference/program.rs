//! A network for one input size: its arenas, its team, and which thread computes which image.

use std::sync::Arc;
use std::sync::atomic::AtomicPtr;

use super::config::ProgramConfig;
use super::context::Context;
use super::execute::Chunk;
use super::frames::Frames;
use super::input::{ImageLayout, Images};
use super::packed::PackedWeights;
use super::schedule::Schedule;
use crate::error::{KernelError, check_length};
use crate::simd::team::{MOST, Team, Turn};
use crate::simd::{SharedBuffer, dispatch};

/// A network ready to run.
#[derive(Debug)]
pub struct Program {
    weights: Arc<PackedWeights>,
    /// The schedule by which all threads compute one image together.
    together: Schedule,
    arena: SharedBuffer,
    /// For batches, if there are several threads: each computes an image of its own.
    alone: Option<Alone>,
    frames: Option<Frames>,
    layout: ImageLayout,
    team: Team,
    /// The caller's outputs during a run. They are kept so that a run allocates nothing.
    outputs: Vec<AtomicPtr<f32>>,
}

/// Each thread runs whole images of the batch, so that threads need not wait for each other.
#[derive(Debug)]
struct Alone {
    schedule: Schedule,
    /// One per thread. The system provides their memory only when a batch first uses it.
    arenas: Vec<SharedBuffer>,
}

impl Alone {
    fn new(weights: &PackedWeights, config: &ProgramConfig) -> Result<Self, KernelError> {
        let schedule = Schedule::new(weights, config, 1)?;
        let arenas = (0..config.threads).map(|_| SharedBuffer::of_bytes(schedule.arena));
        Ok(Self {
            arenas: arenas.collect(),
            schedule,
        })
    }
}

impl Program {
    /// Plans the operations, allocates the arena, starts the threads.
    ///
    /// # Errors
    /// If a layer's window does not fit, an output does not exist, or a thread cannot be started.
    pub fn new(weights: Arc<PackedWeights>, config: &ProgramConfig) -> Result<Self, KernelError> {
        if config.threads == 0 {
            return Err(KernelError::Zero { what: "threads" });
        }
        let together = Schedule::new(&weights, config, config.threads)?;
        let alone = (config.threads > 1).then(|| Alone::new(&weights, config));
        let frames = config.normalization.as_ref();
        let row = together.input.row();
        let frames = frames.map(|normalization| Frames::new(&weights, row, normalization));
        let team = Team::new(config.threads).map_err(|error| KernelError::Threads {
            problem: error.to_string(),
        })?;
        Ok(Self {
            arena: SharedBuffer::of_bytes(together.arena),
            alone: alone.transpose()?,
            frames: frames.transpose()?,
            layout: config.layout,
            outputs: config
                .outputs
                .iter()
                .map(|_| AtomicPtr::default())
                .collect(),
            weights,
            together,
            team,
        })
    }

    /// Order of an output map's values.
    pub fn layout(&self) -> ImageLayout {
        self.layout
    }

    /// Rows, columns and channels of one image's outputs.
    pub fn output_shapes(&self) -> &[[usize; 3]] {
        &self.together.outputs
    }

    /// Rows, columns and channels of the first output.
    pub fn output_shape(&self) -> [usize; 3] {
        self.together.outputs.first().copied().unwrap_or_default()
    }

    /// Number of values of one image.
    pub fn input_len(&self) -> usize {
        let input = &self.together.input;
        input.height * input.width * input.channels
    }

    /// Number of values of one image's first output.
    pub fn output_len(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// Bytes of the arena in which all threads compute an image together.
    pub fn arena_bytes(&self) -> usize {
        self.together.arena
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// [`Self::run_all`] for a program with one output.
    pub fn run(&mut self, images: &Images<'_>, output: &mut [f32]) -> Result<(), KernelError> {
        self.run_all(images, &mut [output])
    }

    /// Runs a batch and writes each output, `[batch, ...]`, to its own slice. As many images as can
    /// be divided evenly are computed by one thread each. All threads together compute the rest one
    /// by one. The bits are the same either way. Nothing is allocated.
    ///
    /// # Errors
    /// If the input or an output has the wrong length, the number of outputs differs from the
    /// program's, or frames come without a normalisation. Nothing is computed then.
    pub fn run_all(
        &mut self,
        images: &Images<'_>,
        outputs: &mut [&mut [f32]],
    ) -> Result<(), KernelError> {
        let one = self.input_len();
        let batch = images.len() / one.max(1);
        check_length("input", images.len(), &[batch.max(1), one])?;
        check_length("outputs", outputs.len(), &[self.outputs.len()])?;
        for (output, &[height, width, channels]) in outputs.iter().zip(&self.together.outputs) {
            check_length("output", output.len(), &[batch, height, width, channels])?;
        }
        let frames = match images {
            Images::F32(..) => None,
            Images::U8(_) => Some(self.frames.as_ref().ok_or(KernelError::Frames {
                problem: "the program was built without their normalisation",
            })?),
        };
        for (pointer, output) in self.outputs.iter_mut().zip(outputs) {
            *pointer.get_mut() = output.as_mut_ptr();
        }
        let (isa, threads) = (self.weights.isa(), self.team.threads());
        let together = Context {
            offsets: &self.together.offsets,
            layout: self.layout,
            images,
            image: 0,
            frames,
            arena: &self.arena,
            weights: self.weights.buffer.as_slice(),
            outputs: &self.outputs,
        };
        let mut first = 0;
        if let Some(alone) = self.alone.as_ref().filter(|_| batch >= threads) {
            first = batch / threads * threads;
            self.team.run_phases(&[first.min(MOST)], &|turn| {
                for image in turn.share(first) {
                    let context = &Context {
                        offsets: &alone.schedule.offsets,
                        image,
                        arena: &alone.arenas[turn.worker],
                        ..together
                    };
                    for operation in &alone.schedule.operations {
                        let turn = Turn::ALONE;
                        dispatch(
                            isa,
                            Chunk {
                                operation,
                                context,
                                turn,
                            },
                        );
                    }
                }
            });
        }
        for image in first..batch {
            let context = &Context { image, ..together };
            let Schedule {
                operations, chunks, ..
            } = &self.together;
            self.team.run_phases(chunks, &|turn| {
                let operation = &operations[turn.phase];
                dispatch(
                    isa,
                    Chunk {
                        operation,
                        context,
                        turn,
                    },
                );
            });
        }
        Ok(())
    }
}

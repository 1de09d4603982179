//! A network for one input size: arenas, team, and who runs which image.

use std::sync::Arc;

use super::build::{Plan, build};
use super::frames::{Frames, Normalization};
use super::input::{ImageLayout, Images};
use super::map::Map;
use super::packed::PackedNetwork;
use super::run::{OutputPointer, Run, Thread, share};
use crate::error::{KernelError, check_length};
use crate::geometry::ConvGeometry;
use crate::network::Pooling;
use crate::simd::team::{Barrier, Team};
use crate::simd::{SharedBuffer, dispatch};

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
    /// Of 8-bit frames, where there are such.
    pub normalization: Option<Normalization>,
}

/// A network ready to run.
#[derive(Debug)]
pub struct Program {
    network: Arc<PackedNetwork>,
    /// How all threads run one image together.
    together: Plan,
    arena: SharedBuffer,
    barrier: Barrier,
    /// How each thread runs an image of its own, where there are several threads.
    alone: Option<Alone>,
    frames: Option<Frames>,
    layout: ImageLayout,
    team: Team,
}

/// One thread with an image of its own waits for nobody.
#[derive(Debug)]
struct Alone {
    plan: Plan,
    /// One a thread; memory that no batch has used yet is not taken from the system.
    arenas: Vec<SharedBuffer>,
    barrier: Barrier,
}

impl Alone {
    fn new(network: &PackedNetwork, config: &ProgramConfig) -> Result<Self, KernelError> {
        let plan = build(network, config, 1)?;
        let arenas = (0..config.threads).map(|_| SharedBuffer::zeros(plan.arena));
        Ok(Self {
            arenas: arenas.collect(),
            barrier: Barrier::new(1),
            plan,
        })
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
        let together = build(&network, config, config.threads)?;
        let alone = (config.threads > 1).then(|| Alone::new(&network, config));
        let frames = config.normalization.as_ref();
        let frames = frames.map(|normalization| Frames::new(&network, &together, normalization));
        let team = Team::new(config.threads).map_err(|error| KernelError::Threads {
            problem: error.to_string(),
        })?;
        Ok(Self {
            arena: SharedBuffer::zeros(together.arena),
            barrier: Barrier::new(config.threads),
            alone: alone.transpose()?,
            frames: frames.transpose()?,
            layout: config.layout,
            network,
            together,
            team,
        })
    }

    /// Order of an output map's values.
    pub fn layout(&self) -> ImageLayout {
        self.layout
    }

    /// Rows, columns and channels of one image's output.
    pub fn output_shape(&self) -> [usize; 3] {
        self.together.output
    }

    /// Values of one image.
    pub fn input_len(&self) -> usize {
        let Map {
            height,
            width,
            channels,
            ..
        } = self.together.input;
        height * width * channels
    }

    /// Values of one image's output.
    pub fn output_len(&self) -> usize {
        self.together.output.iter().product()
    }

    /// Bytes of activations of an image that all threads compute together.
    pub fn arena_bytes(&self) -> usize {
        4 * self.arena.len()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// Runs a batch: as many images as can be shared out evenly each by one thread, the rest one
    /// by one by all threads together, with the same bits either way. Allocates nothing.
    ///
    /// # Errors
    /// Where input or output have the wrong length, or frames come without a normalisation; nothing
    /// is computed then.
    pub fn run(&mut self, images: &Images<'_>, output: &mut [f32]) -> Result<(), KernelError> {
        let (one, result) = (self.input_len(), self.output_len());
        let batch = images.len() / one.max(1);
        check_length("input", images.len(), &[batch.max(1), one])?;
        check_length("output", output.len(), &[batch, result])?;
        let frames = match images {
            Images::F32(..) => None,
            Images::U8(_) => Some(self.frames.as_ref().ok_or(KernelError::Frames {
                problem: "the program was built without their normalisation",
            })?),
        };
        let (isa, threads) = (self.network.isa(), self.team.threads());
        let output = OutputPointer(output.as_mut_ptr());
        let together = Run {
            plan: &self.together,
            layout: self.layout,
            images,
            image: 0,
            frames,
            threads,
            barrier: &self.barrier,
            arena: &self.arena,
            weights: self.network.buffer.as_slice(),
            output,
        };
        let mut first = 0;
        if let Some(alone) = self.alone.as_ref().filter(|_| batch >= threads) {
            first = batch / threads * threads;
            self.team.run(&|number| {
                for image in share(first, number, threads) {
                    let run = Run {
                        plan: &alone.plan,
                        image,
                        threads: 1,
                        barrier: &alone.barrier,
                        arena: &alone.arenas[number],
                        output: output.at(image * result),
                        ..together
                    };
                    let number = 0;
                    dispatch(isa, Thread { run: &run, number });
                }
            });
        }
        for image in first..batch {
            let run = Run {
                image,
                output: output.at(image * result),
                ..together
            };
            self.team
                .run(&|number| dispatch(isa, Thread { run: &run, number }));
        }
        Ok(())
    }
}

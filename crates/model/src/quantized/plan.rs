//! A network of integers that is ready to run.

use mobilenet_kernels::integer::{
    IntegerImages, IntegerOutput, IntegerProgram, IntegerProgramConfig, ValueKind,
};

use super::weights::QuantizedWeights;
use crate::endpoint::head;
use crate::error::ModelError;

/// Options of a plan of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegerPlanOptions {
    /// Rows and columns of an image.
    pub size: [usize; 2],
    /// Number of threads, including the caller's.
    pub threads: usize,
    /// The output of a run.
    pub output: IntegerPlanOutput,
}

/// The output of a run of integers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IntegerPlanOutput {
    /// The file's own output tensor, softmax included where it has one.
    #[default]
    Own,
    /// The classifier's output.
    Logits,
    /// The pooled map.
    Features,
    /// The output of the endpoint of this name.
    Endpoint(String),
}

/// A network of integers that is ready to run for one input size. It is `Send`, and shares its
/// weights with other plans.
#[derive(Debug)]
pub struct IntegerPlan {
    program: IntegerProgram,
    output: ValueKind,
}

impl IntegerPlanOptions {
    /// A plan for the file's own output and its own size.
    pub fn new(weights: &QuantizedWeights, threads: usize) -> Self {
        let [rows, columns, _] = weights.input_shape();
        Self {
            size: [rows, columns],
            threads,
            output: IntegerPlanOutput::Own,
        }
    }
}

impl IntegerPlan {
    /// Plans the computation, allocates memory and starts the threads.
    ///
    /// # Errors
    /// If the network cannot take images of this size, or there is no such output.
    pub fn new(
        weights: &QuantizedWeights,
        options: &IntegerPlanOptions,
    ) -> Result<Self, ModelError> {
        let network = weights.network();
        let layer = match &options.output {
            IntegerPlanOutput::Own => network.layers().len().saturating_sub(1),
            IntegerPlanOutput::Logits => weights.layer(head::LOGITS)?,
            IntegerPlanOutput::Features => weights
                .layer(head::AVG_POOL)
                .or_else(|_| weights.layer(head::GLOBAL_POOL))?,
            IntegerPlanOutput::Endpoint(name) => weights.layer(name)?,
        };
        let config = IntegerProgramConfig {
            size: options.size,
            outputs: vec![layer],
            threads: options.threads,
        };
        let program = IntegerProgram::new(network.clone(), &config)?;
        let output = network.layers().nth(layer).map(|(_, output)| output);
        let output = output.unwrap_or(ValueKind::F32);
        Ok(Self { program, output })
    }

    /// Rows, columns and channels of the output for one image.
    pub fn output_shape(&self) -> [usize; 3] {
        let shapes = self.program.output_shapes();
        shapes.first().copied().unwrap_or_default()
    }

    /// Number of values of the output for one image.
    pub fn output_len(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// The output's values.
    pub fn output(&self) -> ValueKind {
        self.output
    }

    /// Number of values of one image.
    pub fn input_len(&self) -> usize {
        self.program.input_len()
    }

    /// Bytes of memory for activations.
    pub fn arena_bytes(&self) -> usize {
        self.program.arena_bytes()
    }

    /// Runs one image or a batch, `[batch, rows, columns, channels]`. The batch size follows from
    /// the lengths; neither it nor the number of threads changes a bit of the output.
    ///
    /// Images are the network's own integers, or numbers that the file's input scale rounds to
    /// integers. The output is the layer's own integers, or the numbers that they mean.
    ///
    /// # Errors
    /// If a slice has the wrong length or type. Nothing is computed then.
    pub fn run(
        &mut self,
        images: &IntegerImages<'_>,
        output: IntegerOutput<'_>,
    ) -> Result<(), ModelError> {
        Ok(self.program.run(images, &mut [output])?)
    }
}

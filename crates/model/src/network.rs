//! Inference in f32 or, with the feature `integers`, in 8-bit integers, for callers to whom it
//! makes no difference: numbers in, numbers out.

#[cfg(feature = "integers")]
use mobilenet_kernels::integer::{IntegerImages, IntegerOutput};

use crate::error::ModelError;
use crate::plan::{InferencePlan, PlanOptions, PlanOutput, PlanWeights};
#[cfg(feature = "integers")]
use crate::quantized::{IntegerPlan, IntegerPlanOptions, IntegerPlanOutput, QuantizedWeights};

/// Packed weights of one of the number types. Clones share them.
#[derive(Debug, Clone)]
pub enum NetworkWeights {
    /// f32.
    F32(PlanWeights),
    /// 8-bit integers.
    #[cfg(feature = "integers")]
    Int8(QuantizedWeights),
}

/// A network that is ready to run for one input size.
#[derive(Debug)]
pub enum NetworkPlan {
    /// f32.
    F32(Box<InferencePlan>),
    /// 8-bit integers.
    #[cfg(feature = "integers")]
    Int8(Box<IntegerPlan>),
}

impl NetworkWeights {
    /// Plans the computation of logits or features.
    ///
    /// # Errors
    /// If the network cannot take images of this size, or has no such output.
    pub fn plan(
        &self,
        size: [usize; 2],
        threads: usize,
        output: PlanOutput,
    ) -> Result<NetworkPlan, ModelError> {
        Ok(match self {
            Self::F32(weights) => {
                let options = PlanOptions {
                    output,
                    ..PlanOptions::new(size, threads)
                };
                NetworkPlan::F32(Box::new(InferencePlan::new(weights, &options)?))
            }
            #[cfg(feature = "integers")]
            Self::Int8(weights) => {
                let output = match output {
                    PlanOutput::Logits => IntegerPlanOutput::Logits,
                    PlanOutput::Features => IntegerPlanOutput::Features,
                    PlanOutput::Endpoint(endpoint) => {
                        IntegerPlanOutput::Endpoint(endpoint.to_string())
                    }
                };
                let options = IntegerPlanOptions {
                    size,
                    threads,
                    output,
                };
                NetworkPlan::Int8(Box::new(IntegerPlan::new(weights, &options)?))
            }
        })
    }
}

impl NetworkPlan {
    /// Rows, columns and channels of the output for one image.
    pub fn output_shape(&self) -> [usize; 3] {
        match self {
            Self::F32(plan) => plan.output_shape(),
            #[cfg(feature = "integers")]
            Self::Int8(plan) => plan.output_shape(),
        }
    }

    /// Number of values of the output for one image.
    pub fn output_len(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// Number of values of one image.
    pub fn input_len(&self) -> usize {
        match self {
            Self::F32(plan) => plan.input_len(),
            #[cfg(feature = "integers")]
            Self::Int8(plan) => plan.input_len(),
        }
    }

    /// Runs one normalised image or a batch, `[batch, rows, columns, channels]`. A network of
    /// integers rounds it to its input's integers, and writes what its output's integers mean.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn run(&mut self, images: &[f32], output: &mut [f32]) -> Result<(), ModelError> {
        match self {
            Self::F32(plan) => plan.run(images, output),
            #[cfg(feature = "integers")]
            Self::Int8(plan) => plan.run(&IntegerImages::F32(images), IntegerOutput::F32(output)),
        }
    }
}

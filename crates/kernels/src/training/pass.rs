//! A batch between its forward pass and its backward pass.

use super::batch::Batch;
use super::network::MapGradient;
use super::program::TrainingProgram;
use super::ranges::MovingRanges;
use crate::error::{KernelError, check_length};

/// A batch whose activations the program holds. It borrows the program and the inputs of the batch,
/// so that neither can change before the backward pass.
#[derive(Debug)]
#[must_use = "a forward pass alone trains nothing"]
pub struct Pass<'p, 'a> {
    program: &'p mut TrainingProgram,
    batch: Batch<'a>,
}

impl TrainingProgram {
    /// Computes the logits. The returned pass can compute the gradients.
    ///
    /// `dropout` holds a factor for each pooled feature, `[batch, channels]`.
    ///
    /// # Errors
    /// If a slice has the wrong length, or the program needs ranges. Nothing is computed then.
    pub fn forward<'a>(
        &mut self,
        parameters: &'a [f32],
        images: &'a [f32],
        dropout: Option<&'a [f32]>,
        logits: &mut [f32],
    ) -> Result<Pass<'_, 'a>, KernelError> {
        let batch = Batch {
            parameters,
            ranges: None,
            images,
            dropout,
        };
        self.compute(&batch, logits)?;
        Ok(Pass {
            program: self,
            batch,
        })
    }

    /// The same with fake quantisation. [`Pass::ranges`] has the ranges that were moved.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn forward_quantized<'a>(
        &mut self,
        parameters: &'a [f32],
        ranges: MovingRanges<'a>,
        images: &'a [f32],
        dropout: Option<&'a [f32]>,
        logits: &mut [f32],
    ) -> Result<Pass<'_, 'a>, KernelError> {
        let batch = Batch {
            parameters,
            ranges: Some(ranges),
            images,
            dropout,
        };
        self.compute(&batch, logits)?;
        Ok(Pass {
            program: self,
            batch,
        })
    }
}

impl Pass<'_, '_> {
    /// Pooled features before dropout, image by image.
    pub fn features(&self) -> impl Iterator<Item = &[f32]> {
        self.program.features()
    }

    /// The averages of [`MovingRanges`] after this batch.
    pub fn ranges(&self) -> &[f32] {
        self.program.ranges()
    }

    /// Rows, columns and channels of a layer's activation, and its values,
    /// `[batch, rows, columns, channels]`.
    ///
    /// # Errors
    /// If there is no such layer, or the program rounds activations.
    pub fn activation(&self, layer: usize) -> Result<([usize; 3], Vec<f32>), KernelError> {
        self.program.activation(layer)
    }

    /// Computes the gradient of every parameter from the gradient of the logits. Running statistics
    /// and frozen layers have gradient 0.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn backward(
        self,
        logit_gradients: &[f32],
        gradients: &mut [f32],
    ) -> Result<(), KernelError> {
        self.backward_from(logit_gradients, &[], gradients)
    }

    /// The same where gradients also enter at the activations of layers. Those of frozen layers are
    /// ignored.
    ///
    /// # Errors
    /// If there is no such layer, or a slice has the wrong length. Nothing is computed then.
    pub fn backward_from(
        self,
        logit_gradients: &[f32],
        maps: &[MapGradient<'_>],
        gradients: &mut [f32],
    ) -> Result<(), KernelError> {
        self.check(logit_gradients, gradients)?;
        for map in maps {
            let shape = self.program.map_shape(map.layer)?;
            check_length("gradient of a map", map.values.len(), &shape)?;
        }
        self.program
            .backward(&self.batch, logit_gradients, maps, gradients);
        Ok(())
    }

    /// The same bits, layer by layer from the last to the first. After each, `finished` gets all
    /// gradients and the number of the first layer from which on, with the head, they are final; 0 at
    /// the end.
    ///
    /// # Errors
    /// If a slice has the wrong length. Nothing is computed then.
    pub fn backward_by_layers(
        self,
        logit_gradients: &[f32],
        gradients: &mut [f32],
        finished: &mut dyn FnMut(&mut [f32], usize),
    ) -> Result<(), KernelError> {
        self.check(logit_gradients, gradients)?;
        let (batch, program) = (&self.batch, self.program);
        program.backward_by_layers(batch, logit_gradients, gradients, finished);
        Ok(())
    }

    /// As [`TrainingProgram::update_running_statistics`], before the backward pass.
    ///
    /// # Errors
    /// If `parameters` has the wrong length.
    pub fn update_running_statistics(
        &self,
        parameters: &mut [f32],
        decay: f64,
    ) -> Result<(), KernelError> {
        self.program.update_running_statistics(parameters, decay)
    }

    fn check(&self, logit_gradients: &[f32], gradients: &[f32]) -> Result<(), KernelError> {
        let expected = self.program.logits_len();
        check_length("logit gradients", logit_gradients.len(), &[expected])?;
        let expected = self.batch.parameters.len();
        check_length("gradients", gradients.len(), &[expected])
    }
}

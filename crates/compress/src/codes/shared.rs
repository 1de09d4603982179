//! The weights of a network in training as few shared values, so that it learns with the values that
//! its file will hold.

use std::ops::Range;

use rayon::prelude::*;

use super::codebook::Codebook;
use super::network::{Compressed, round_to_half};
use super::options::CompressOptions;
use mobilenet_model::ModelError;
use mobilenet_model::architecture::{Parameter, Part};
use mobilenet_model::checkpoint::{Checkpoint, CodedTensor, CodedTensors, LoadReport, Metadata};
use mobilenet_model::flat::FlatLayout;

/// Which of a network's parameters share values, and how. The network is one of
/// [`Checkpoint::unfold`], whose weights are those of its file.
///
/// Values and symbols depend on the weights alone, so a training has no state beside its weights: each
/// time, every layer gets the palette or the steps that suit its weights best.
#[derive(Debug, Clone)]
pub struct SharedWeights {
    layout: FlatLayout,
    options: CompressOptions,
}

impl SharedWeights {
    /// For parameters of this layout.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if a setting is out of its range.
    pub fn new(layout: FlatLayout, options: CompressOptions) -> Result<Self, ModelError> {
        options.check()?;
        Ok(Self { layout, options })
    }

    /// Replaces all parameters by what a reader would make of them. Work is done on rayon's threads;
    /// their number does not change the result.
    ///
    /// # Errors
    /// If the vector has another length than the layout.
    pub fn share(&self, parameters: &mut [f32]) -> Result<(), ModelError> {
        self.code(parameters).map(|_| ())
    }

    /// The network whose file gives what [`Self::share`] makes of these parameters.
    ///
    /// # Errors
    /// If the vector has another length than the layout.
    pub fn compressed(
        &self,
        parameters: &[f32],
        metadata: &Metadata,
    ) -> Result<Compressed, ModelError> {
        let mut parameters = parameters.to_vec();
        let tensors = self.code(&mut parameters)?;
        let checkpoint = Checkpoint {
            parameters: self.layout.tensors(&parameters)?,
            metadata: metadata.clone(),
            report: LoadReport::default(),
        };
        Ok(Compressed {
            checkpoint: checkpoint.fold()?,
            coded: CodedTensors {
                method: self.options.method.to_string(),
                tensors: tensors.into_iter().collect(),
            },
        })
    }

    fn code(&self, parameters: &mut [f32]) -> Result<Vec<(String, CodedTensor)>, ModelError> {
        if parameters.len() != self.layout.len() {
            return Err(ModelError::ParameterCount {
                expected: self.layout.len(),
                found: parameters.len(),
            });
        }
        let entries = self.layout.entries().iter();
        let (coded, others): (Vec<_>, Vec<_>) = entries.partition(|(own, _)| is_coded(own));
        for (_, range) in others {
            round_to_half(&mut parameters[range.clone()]);
        }
        let layers: Vec<(&[f32], usize)> = coded
            .iter()
            .map(|(own, range)| (&parameters[range.clone()], filter_len(own)))
            .collect();
        let books = Codebook::of_layers(&layers, &self.options);
        let tensors: Vec<CodedTensor> = coded
            .par_iter()
            .zip(books)
            .map(|((own, range), book)| nearest(own, &parameters[range.clone()], book))
            .collect();
        let mut named = Vec::with_capacity(tensors.len());
        for ((own, range), tensor) in coded.into_iter().zip(tensors) {
            tensor.decode_into(&mut parameters[Range::clone(range)]);
            named.push((own.name(), tensor));
        }
        Ok(named)
    }
}

/// Pointwise layers and the classifier, as in [`compress`](super::compress).
fn is_coded(parameter: &Parameter) -> bool {
    let is_pointwise = matches!(parameter.shape[..], [_, _, 1, 1]);
    parameter.part == Part::Weights && !parameter.is_depthwise() && is_pointwise
}

fn filter_len(parameter: &Parameter) -> usize {
    parameter.shape.iter().skip(1).product()
}

fn nearest(parameter: &Parameter, weights: &[f32], book: Codebook) -> CodedTensor {
    let filters = weights.chunks(filter_len(parameter).max(1));
    let filters = filters.zip(&book.scales);
    let symbols = filters.flat_map(|(filter, scale)| {
        let book = &book;
        let symbol = move |weight: &f32| book.nearest(f64::from(weight / scale)).0;
        filter.iter().map(symbol)
    });
    CodedTensor {
        symbols: symbols.collect(),
        shape: parameter.shape.clone(),
        levels: book.levels,
        scales: book.scales,
    }
}

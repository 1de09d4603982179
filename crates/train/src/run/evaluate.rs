//! Evaluations while a training goes on.

use std::sync::Arc;

use mobilenet_model::checkpoint::{self, Checkpoint, LoadReport, WeightsDtype};
use mobilenet_model::quantized::{Arithmetic, Freeze, IntegerNetwork};
use mobilenet_model::{NetworkWeights, PlanWeights, QuantizedWeights};

use super::labelled::LabelledTraining;
use crate::data::{ImageDataset, Part};
use crate::error::TrainError;
use crate::evaluation::{EvaluationOptions, EvaluationOutcome, evaluate_network};
use crate::heads;
use crate::log::{EpochRecord, MeasureRecord, Record};

/// Number of evaluated photos that are kept for the report.
const WORST: usize = 12;

impl LabelledTraining<'_> {
    /// The weights as they would be used now.
    pub(super) fn weights(&self) -> Result<Checkpoint, TrainError> {
        if let Some(small) = self.trainer.compressed(&self.metadata)? {
            return Ok(small.checkpoint);
        }
        let layout = self.trainer.layout();
        Ok(Checkpoint {
            parameters: layout.tensors(self.trainer.state().best_weights())?,
            metadata: self.metadata.clone(),
            report: LoadReport::default(),
        })
    }

    /// The network of integers, once training rounds.
    fn integers(&self) -> Result<Option<IntegerNetwork>, TrainError> {
        let (recipe, state) = (self.trainer.recipe(), self.trainer.state());
        let quantization = recipe.quantization.zip(state.ranges.as_ref());
        let Some((quantization, ranges)) = quantization.filter(|(q, r)| q.rounds(r.steps)) else {
            return Ok(None);
        };
        let preprocessing = &self.metadata.preprocessing;
        let freeze = Freeze {
            config: &self.metadata.config(),
            weights: state.best_weights(),
            ranges: &ranges.ranges(),
            weight_ranges: None,
            scheme: quantization.scheme.into(),
            size: preprocessing.size,
            pixels: preprocessing.range(),
        };
        Ok(Some(freeze.network()?))
    }

    /// Saves the weights, and evaluates them if there is a test part.
    pub(super) fn evaluate_weights(&mut self) -> Result<Option<EvaluationOutcome>, TrainError> {
        let step = self.trainer.state().step;
        let weights = self.weights()?;
        let is_first = self.output.is_some();
        if is_first {
            let path = self.options.out.join("model.safetensors");
            match self.trainer.compressed(&self.metadata)? {
                Some(small) => {
                    checkpoint::save_compressed(&path, &small.checkpoint, &small.coded)?;
                }
                None => checkpoint::save(&path, &weights, WeightsDtype::F32)?,
            }
        }
        let config = weights.metadata.config();
        let network = match self.integers()? {
            Some(integers) => {
                if is_first {
                    let path = self.options.out.join("model.int8.tflite");
                    checkpoint::save_integer_tflite(&path, &integers, &self.metadata)?;
                }
                NetworkWeights::Int8(QuantizedWeights::new(integers, Arithmetic::default())?)
            }
            None => NetworkWeights::F32(PlanWeights::new(&config, &weights.parameters)?),
        };
        let mut outcome = None;
        self.task.measured = None;
        if let Some(test) = &self.task.data.test {
            let options = EvaluationOptions {
                batch_size: self.trainer.recipe().batch_size.min(64),
                part: Part {
                    rank: self.communicator.rank(),
                    world: self.communicator.ranks(),
                },
                threads: self.options.threads,
                max_skipped_share: self.options.max_skipped_share,
                worst: WORST,
                subset: None,
                keep_answers: false,
            };
            if !self.metadata.head.is_classes() {
                self.measure(&network, test.clone(), &options)?;
                return Ok(None);
            }
            let evaluated = evaluate_network(
                &network,
                config.classes().unwrap_or(0),
                &self.metadata.preprocessing,
                test.clone(),
                &options,
                &mut |_| (),
            )?;
            outcome = evaluated.of_all(self.communicator)?;
        }
        if let Some(evaluated) = &outcome {
            let accuracy = evaluated.evaluation.accuracy();
            let record = Record::Epoch(EpochRecord {
                epoch: step.div_ceil(self.steps_per_epoch),
                accuracy: accuracy.accuracy(),
                recall_5: accuracy.recall_5(),
            });
            self.record(record)?;
        }
        Ok(outcome)
    }

    /// Evaluates what is no classifier.
    fn measure(
        &mut self,
        network: &NetworkWeights,
        test: Arc<dyn ImageDataset>,
        options: &EvaluationOptions,
    ) -> Result<(), TrainError> {
        let step = self.trainer.state().step;
        let (metadata, communicator) = (&self.metadata, &mut *self.communicator);
        let outcome = heads::evaluate(network, metadata, test, options, communicator, &mut |_| ())?;
        if let Some(outcome) = &outcome {
            let (measure, value) = outcome.measured();
            self.record(Record::Measure(MeasureRecord {
                epoch: step.div_ceil(self.steps_per_epoch),
                measure,
                value,
            }))?;
        }
        self.task.measured = outcome;
        Ok(())
    }
}

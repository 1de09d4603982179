//! Builds a [`Checkpoint`] of named tensors: finds every parameter, converts it to our layout and
//! checks it.

use std::collections::HashSet;
use std::path::Path;

use super::describe::{Evidence, describe};
use super::error::CheckpointError;
use super::misfit::Misfit;
use super::model::Checkpoint;
use super::name_map::{Found, training};
use super::options::LoadOptions;
use super::readers::{NamedTensors, ReadError};
use super::report::{Applied, LoadReport, Mismatch};
use super::resolve::{Resolved, resolve};
use crate::architecture::{Parameter, Part, parameters};
use crate::array::Array;
use crate::initialize::Parameters;

pub(super) fn assemble(
    path: &Path,
    mut file: NamedTensors,
    options: &LoadOptions,
) -> Result<Checkpoint, CheckpointError> {
    file.strip_output_numbers();
    let resolved = resolve(path, &file, options.averages)?;
    let evidence = Evidence {
        path,
        file: &file,
        resolved: &resolved,
    };
    let (metadata, assumed) = describe(&evidence, options)?;
    let expected = parameters(&metadata.config()).map_err(|source| CheckpointError::Model {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    // From here on `resolved` alone holds the values: each is moved to the checkpoint, not copied.
    let names: Vec<String> = file.tensors.into_keys().collect();
    let mut assembly = Assembly {
        path,
        resolved,
        channel_multiplier: metadata.channel_multiplier,
        epsilon: metadata.batch_norm_epsilon,
        report: LoadReport {
            assumed,
            ..LoadReport::default()
        },
        used: HashSet::new(),
    };
    let mut found = Parameters::new();
    for parameter in &expected {
        if let Some(values) = assembly.parameter(parameter)? {
            found.insert(parameter.name(), values);
        }
    }
    assembly.report_the_rest(&names);
    let report = assembly.report;
    if options.averages && report.averages() == 0 {
        return Err(CheckpointError::Metadata {
            path: path.to_path_buf(),
            key: "averages".to_string(),
            problem: "the file holds no moving averages of parameters".to_string(),
        });
    }
    if !report.is_complete() {
        return Err(CheckpointError::Incomplete {
            path: path.to_path_buf(),
            misfit: Box::new(Misfit::of_report(&report)),
            report: Box::new(report),
        });
    }
    Ok(Checkpoint {
        parameters: found,
        metadata,
        report,
    })
}

struct Assembly<'a> {
    path: &'a Path,
    resolved: Resolved,
    channel_multiplier: usize,
    epsilon: f64,
    report: LoadReport,
    /// Names of the tensors that were used.
    used: HashSet<String>,
}

impl Assembly<'_> {
    /// The values of a parameter. If they are missing or have another shape, this is `None`, and
    /// the report gets an entry.
    fn parameter(&mut self, parameter: &Parameter) -> Result<Option<Array>, CheckpointError> {
        let Some(found) = self.resolved.take(parameter.layer, parameter.part) else {
            let names = &self.resolved.names;
            let names = names.names(parameter.layer, parameter.part);
            self.report.missing.extend(names.into_iter().next());
            return Ok(None);
        };
        let source = found.name.clone();
        let Some(mut values) = self.read(parameter, found)? else {
            return Ok(None);
        };
        if parameter.part == Part::MovingMean
            && let Some(bias) = self.resolved.take(parameter.layer, Part::Biases)
        {
            // Batch normalisation subtracts the mean, so a bias before it only changes the mean.
            let source = bias.name.clone();
            let Some(biases) = self.read(parameter, bias)? else {
                return Ok(None);
            };
            for (mean, bias) in values.values_mut().iter_mut().zip(biases.values()) {
                *mean -= bias;
            }
            self.report_applied(parameter, source);
        }
        self.report_applied(parameter, source);
        Ok(Some(values))
    }

    /// The values of a tensor in our layout. If it has another shape, this is `None`, and the
    /// report gets an entry.
    fn read(
        &mut self,
        parameter: &Parameter,
        found: Found,
    ) -> Result<Option<Array>, CheckpointError> {
        let Found {
            name,
            layout,
            tensor,
        } = found;
        self.used.insert(name.clone());
        let expected = layout.source_shape(&parameter.shape, self.channel_multiplier);
        if tensor.shape != expected {
            self.report.mismatched.push(Mismatch {
                name: parameter.name(),
                source: name,
                expected,
                found: tensor.shape,
            });
            return Ok(None);
        }
        let unusable = |problem: String| CheckpointError::Read {
            path: self.path.to_path_buf(),
            source: ReadError::tensor(&name, problem),
        };
        let (dtype, shape) = (tensor.dtype.clone(), tensor.shape.clone());
        let values = tensor
            .into_f32()
            .ok_or_else(|| unusable(format!("expected f32, f16, bf16 or f64, found {dtype}")))?;
        let values = Array::of_buffer(shape, values)
            .and_then(|values| layout.to_ours(values, &parameter.shape))
            .map_err(|error| unusable(error.to_string()))?;
        self.check(parameter, &name, &values)?;
        Ok(Some(values))
    }

    /// Checks that values are finite and variances are not negative.
    fn check(
        &self,
        parameter: &Parameter,
        name: &str,
        values: &Array,
    ) -> Result<(), CheckpointError> {
        let variance = parameter.part == Part::MovingVariance;
        let is_good =
            |value: f32| value.is_finite() && (!variance || f64::from(value) + self.epsilon > 0.0);
        // Nearly all files are good, and only variances have another bound.
        if !variance && values.is_finite() {
            return Ok(());
        }
        let values = values.values();
        match values.iter().position(|&value| !is_good(value)) {
            None => Ok(()),
            Some(index) => Err(CheckpointError::Value {
                path: self.path.to_path_buf(),
                tensor: name.to_string(),
                index,
                value: values[index],
                expected: if variance {
                    "expected a finite variance that is not negative"
                } else {
                    "expected finite values"
                },
            }),
        }
    }

    fn report_applied(&mut self, parameter: &Parameter, source: String) {
        self.report.applied.push(Applied {
            name: parameter.name(),
            source,
        });
    }

    /// Reports all tensors that were not used: remains of training, and unknown ones.
    fn report_the_rest(&mut self, tensors: &[String]) {
        let names = &self.resolved.names;
        for name in tensors {
            if self.used.contains(name) || names.is_bookkeeping(name) {
                continue;
            }
            match training::of(name) {
                Some(heading) => {
                    let training = &mut self.report.training;
                    let names = training.entry(heading.to_string()).or_default();
                    names.push(name.clone());
                }
                None => self.report.unused.push(name.clone()),
            }
        }
    }
}

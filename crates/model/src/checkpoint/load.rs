//! The whole way from a file to a [`Checkpoint`].

use std::collections::HashSet;
use std::path::Path;

use super::error::CheckpointError;
use super::locate::locate;
use super::metadata::Metadata;
use super::misfit::Misfit;
use super::name_map::graph_order::{self, Facts};
use super::name_map::{Framework, NameMap, training};
use super::options::LoadOptions;
use super::readers::{Folder, Format, NamedTensors, RawTensor, ReadError, ReadLimits, Source};
use super::report::{Applied, LoadReport, Mismatch};
use super::{graph_facts, hugging_face_config, infer};
use crate::architecture::{Parameter, Part, parameters};
use crate::array::Array;
use crate::error::ModelError;
use crate::fold::{FoldedLayer, folded_layers};
use crate::initialize::{Parameters, initial_parameters};
use crate::labels::Labels;

/// A network's parameters and all that is known of it.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Parameters by our names, f32 on the CPU.
    pub parameters: Parameters,
    /// Everything else.
    pub metadata: Metadata,
    /// What became of each tensor of the file.
    pub report: LoadReport,
}

impl Checkpoint {
    /// The same network with batch normalisation folded into the convolutions.
    ///
    /// # Errors
    /// Never for a checkpoint that [`load`] returned unchanged.
    pub fn fold(mut self) -> Result<Self, ModelError> {
        let config = self.metadata.config();
        for FoldedLayer {
            layer,
            weights,
            bias,
        } in folded_layers(&config, &self.parameters)?
        {
            let name = layer.endpoint.to_string();
            let prefix = format!("{name}.");
            self.parameters.retain(|name, _| !name.starts_with(&prefix));
            let weights = Array::new(layer.weight_shape(), weights)?;
            let bias = Array::new([layer.out_channels], bias)?;
            self.parameters.insert(format!("{name}.weight"), weights);
            self.parameters.insert(format!("{name}.bias"), bias);
        }
        self.metadata.folded = true;
        Ok(self)
    }

    /// The same body with a new classifier, drawn by slim's initialiser from a seed; `None` or 0
    /// classes leave it out. Labels become unknown.
    ///
    /// # Errors
    /// Never for a checkpoint that [`load`] returned unchanged.
    pub fn with_classes(mut self, classes: Option<usize>, seed: u64) -> Result<Self, ModelError> {
        self.metadata.classes = classes.filter(|&classes| classes > 0);
        self.metadata.labels = Labels::Unknown;
        let prefix = crate::architecture::LOGITS_LAYER;
        self.parameters.retain(|name, _| !name.starts_with(prefix));
        let fresh = initial_parameters(&self.metadata.config(), seed)?;
        let head = fresh
            .into_iter()
            .filter(|(name, _)| name.starts_with(prefix));
        self.parameters.extend(head);
        Ok(self)
    }
}

/// Loads weights from a file, or from a folder as Hugging Face and TensorFlow lay them out, in any
/// format that we read; recognised by content. A TensorFlow checkpoint may be given by its prefix.
///
/// # Errors
/// Where the file cannot be read, is broken, is no MobileNetV1, or lacks parameters.
pub fn load(path: &Path, limits: ReadLimits) -> Result<Checkpoint, CheckpointError> {
    let options = LoadOptions {
        limits,
        ..LoadOptions::default()
    };
    load_with(path, &options)
}

/// [`load`] with all options.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, options: &LoadOptions) -> Result<Checkpoint, CheckpointError> {
    let path = &locate(path)?;
    let file = read_tensors(path, options)?;
    assemble(path, file, options)
}

/// All tensors of a file, under its own names.
pub(super) fn read_tensors(
    path: &Path,
    options: &LoadOptions,
) -> Result<NamedTensors, CheckpointError> {
    let limits = options.limits;
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = folder.read(&name, limits.file_bytes).map_err(|source| {
        if source.kind() == std::io::ErrorKind::FileTooLarge {
            CheckpointError::FileTooLarge {
                path: path.to_path_buf(),
                limit: limits.file_bytes,
            }
        } else {
            CheckpointError::Io {
                path: path.to_path_buf(),
                source,
            }
        }
    })?;
    let format = options.format.or_else(|| Format::detect(&bytes));
    let format = format.ok_or_else(|| unknown_format(path, &bytes))?;
    let source = Source {
        name: &name,
        bytes: &bytes,
        folder: &folder,
    };
    format
        .read_from(&source, limits)
        .map_err(|source| CheckpointError::Read {
            path: path.to_path_buf(),
            source,
        })
}

fn unknown_format(path: &Path, bytes: &[u8]) -> CheckpointError {
    CheckpointError::UnknownFormat {
        path: path.to_path_buf(),
        formats: Format::ALL.map(|format| format.to_string()).join(", "),
        start: String::from_utf8_lossy(&bytes[..bytes.len().min(16)])
            .escape_debug()
            .to_string(),
    }
}

/// [`load`] of a file's bytes, for instance weights that a program carries in itself; `name` is what
/// errors call them.
///
/// # Errors
/// As [`load`]; and for formats of several files.
pub fn load_bytes(
    name: &str,
    bytes: &[u8],
    limits: ReadLimits,
) -> Result<Checkpoint, CheckpointError> {
    let path = Path::new(name);
    let format = Format::detect(bytes).ok_or_else(|| unknown_format(path, bytes))?;
    let file = format
        .read(bytes, limits)
        .map_err(|source| CheckpointError::Read {
            path: path.to_path_buf(),
            source,
        })?;
    assemble(path, file, &LoadOptions::default())
}

/// Named tensors -> our parameters.
fn assemble(
    path: &Path,
    mut file: NamedTensors,
    options: &LoadOptions,
) -> Result<Checkpoint, CheckpointError> {
    file.strip_output_numbers();
    let (map, facts) = recognise(path, &mut file, options.averages)?;
    let mut report = LoadReport::default();
    let metadata = describe(
        path,
        &file,
        &map,
        facts.as_ref(),
        options,
        &mut report.assumed,
    )?;
    let config = metadata.config();
    let expected = parameters(&config).map_err(|source| CheckpointError::Model {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;

    let mut found = Parameters::new();
    let mut used = HashSet::new();
    for parameter in &expected {
        let Some((source, tensor)) = infer::find(&file, &map, parameter.layer, parameter.part)
        else {
            let name = map.names(parameter.layer, parameter.part).swap_remove(0);
            report.missing.push(name);
            continue;
        };
        used.insert(source.clone());
        let layout = map.layout(parameter);
        let wanted = layout.source_shape(&parameter.shape, metadata.channel_multiplier);
        if tensor.shape != wanted {
            report.mismatched.push(Mismatch {
                name: parameter.name(),
                source,
                expected: wanted,
                found: tensor.shape.clone(),
            });
            continue;
        }
        let mut values = convert(path, &source, tensor, parameter, &map)?;
        check_values(
            path,
            &source,
            &values,
            parameter,
            metadata.batch_norm_epsilon,
        )?;
        if parameter.part == Part::MovingMean
            && let Some((bias, tensor)) = infer::find(&file, &map, parameter.layer, Part::Biases)
        {
            // A bias before batch normalisation only moves the mean that is subtracted.
            let tensor = convert(path, &bias, tensor, parameter, &map)?;
            check_values(path, &bias, &tensor, parameter, metadata.batch_norm_epsilon)?;
            for (mean, bias) in values.values_mut().iter_mut().zip(tensor.values()) {
                *mean -= bias;
            }
            used.insert(bias.clone());
            report.applied.push(Applied {
                name: parameter.name(),
                source: bias,
            });
        }
        found.insert(parameter.name(), values);
        report.applied.push(Applied {
            name: parameter.name(),
            source,
        });
    }
    for name in file.tensors.into_keys() {
        if used.contains(&name) || map.is_bookkeeping(&name) {
            continue;
        }
        match training::of(&name) {
            Some(heading) => {
                let names = report.training.entry(heading.to_string()).or_default();
                names.push(name);
            }
            None => report.unused.push(name),
        }
    }
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

/// How the file's tensors are told apart: by the graph where there is one, or else by names.
fn recognise(
    path: &Path,
    file: &mut NamedTensors,
    averages: bool,
) -> Result<(NameMap, Option<Facts>), CheckpointError> {
    if let Some(graph) = file.graph.take() {
        let (order, facts) =
            graph_order::follow(&graph, file).map_err(|problem| CheckpointError::Architecture {
                path: path.to_path_buf(),
                problem,
                misfit: Box::new(Misfit::default()),
            })?;
        return Ok((NameMap::of_graph(order), Some(facts)));
    }
    let names = || file.tensors.keys().map(String::as_str);
    let map = NameMap::detect(names(), averages).ok_or_else(|| CheckpointError::UnknownNames {
        path: path.to_path_buf(),
        count: file.tensors.len(),
        misfit: Box::new(Misfit::of_unknown(names())),
    })?;
    Ok((map, None))
}

/// What the file, its neighbours and its shapes say of the network.
fn describe(
    path: &Path,
    file: &NamedTensors,
    map: &NameMap,
    facts: Option<&Facts>,
    options: &LoadOptions,
    assumed: &mut Vec<String>,
) -> Result<Metadata, CheckpointError> {
    let of_metadata = |key: &str, problem: String| CheckpointError::Metadata {
        path: path.to_path_buf(),
        key: key.to_string(),
        problem,
    };
    if let Some(own) = Metadata::of_file(&file.metadata) {
        let mut own = own.map_err(|error| of_metadata("metadata", error.to_string()))?;
        options
            .apply(&mut own)
            .and_then(|()| infer::check(&own))
            .map_err(|problem| of_metadata("metadata", problem))?;
        return Ok(own);
    }
    let mut metadata = map.defaults();
    let of_architecture = |problem| CheckpointError::Architecture {
        path: path.to_path_buf(),
        problem,
        misfit: Box::new(Misfit::of_network(
            file.tensors.keys().map(String::as_str),
            map,
        )),
    };
    infer::apply(file, map, &mut metadata).map_err(of_architecture)?;
    if let Some(&epsilon) = file.epsilons.values().next() {
        metadata.batch_norm_epsilon = epsilon;
    }
    if let Some(labels) = &file.labels
        && Some(labels.len()) == metadata.classes
    {
        metadata.labels = Labels::Names(labels.clone());
    }
    if let Some(facts) = facts {
        graph_facts::apply(facts, options, &mut metadata, assumed).map_err(of_architecture)?;
    }
    if map.framework() == Framework::HuggingFace
        && let Some(folder) = path.parent()
    {
        hugging_face_config::apply(folder, options.activation, &mut metadata)?;
    }
    options
        .apply(&mut metadata)
        .map_err(|problem| of_metadata("epsilon", problem))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    metadata.source = format!("{name}, names of {map}");
    infer::check(&metadata).map_err(|problem| of_metadata("configuration", problem))?;
    Ok(metadata)
}

fn unusable(path: &Path, tensor: &str, problem: impl ToString) -> CheckpointError {
    CheckpointError::Read {
        path: path.to_path_buf(),
        source: ReadError::tensor(tensor, problem),
    }
}

fn convert(
    path: &Path,
    source: &str,
    tensor: &RawTensor,
    parameter: &Parameter,
    map: &NameMap,
) -> Result<Array, CheckpointError> {
    let Some(values) = tensor.to_f32() else {
        let problem = format!("expected f32, f16, bf16 or f64, found {}", tensor.dtype);
        return Err(unusable(path, source, problem));
    };
    Array::new(tensor.shape.as_slice(), values.into_owned())
        .and_then(|values| map.layout(parameter).to_ours(values, &parameter.shape))
        .map_err(|error| unusable(path, source, error))
}

/// A trained network has finite values and variances whose root exists.
fn check_values(
    path: &Path,
    source: &str,
    tensor: &Array,
    parameter: &Parameter,
    epsilon: f64,
) -> Result<(), CheckpointError> {
    let values = tensor.values();
    let variance = parameter.part == Part::MovingVariance;
    let is_good = |value: f32| value.is_finite() && (!variance || f64::from(value) + epsilon > 0.0);
    match values.iter().position(|&value| !is_good(value)) {
        None => Ok(()),
        Some(index) => Err(CheckpointError::Value {
            path: path.to_path_buf(),
            tensor: source.to_string(),
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

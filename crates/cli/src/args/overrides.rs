//! Arguments of `convert` that override what a file says, or supply what it does not say.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mobilenet::model::PaddingRule;
use mobilenet::model::checkpoint::{Checkpoint, LoadOptions, SavedActivation};
use mobilenet::model::labels::Labels;

use crate::values::not_negative;

/// The activation after each layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationName {
    /// min(max(x, 0), 6)
    Relu6,
    /// max(x, 0)
    Relu,
}

/// How layers pad their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PaddingName {
    /// TensorFlow's SAME padding
    Same,
    /// One pixel on each side (PyTorch)
    Explicit,
    /// SAME, but depthwise layers of stride 2 pad below and right only
    Keras,
}

/// Facts about the network that a file may lack.
#[derive(Debug, Args)]
#[command(next_help_heading = "What the file does not say")]
pub struct Overrides {
    /// Activation after each layer [default: what the file says]
    #[arg(long, value_enum, value_name = "NAME")]
    activation: Option<ActivationName>,
    /// How layers pad their input [default: what the file says]
    #[arg(long, value_enum, value_name = "RULE")]
    padding: Option<PaddingName>,
    /// Number that batch normalisation adds to the variance [default: what the file says]
    #[arg(long, value_name = "NUMBER", value_parser = not_negative)]
    epsilon: Option<f64>,
    /// Input values of black and white pixels, for example 0,1 or -1,1
    #[arg(
        long,
        value_name = "BLACK,WHITE",
        value_delimiter = ',',
        allow_hyphen_values = true,
        conflicts_with_all = ["mean", "std"]
    )]
    range: Option<Vec<f32>>,
    /// Mean to subtract from pixels in [0, 1]: one number, or one per channel
    #[arg(
        long,
        value_name = "M[,M,M]",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    mean: Option<Vec<f32>>,
    /// Divisor of pixels after the mean is subtracted: one number, or one per channel
    #[arg(long, value_name = "S[,S,S]", value_delimiter = ',')]
    std: Option<Vec<f32>>,
    /// File with the names of the classes, one per line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

impl Overrides {
    /// The overrides that apply while the file is read.
    pub(crate) fn load_options(&self) -> LoadOptions {
        LoadOptions {
            activation: self.activation.map(|name| match name {
                ActivationName::Relu6 => SavedActivation::Relu6,
                ActivationName::Relu => SavedActivation::Relu,
            }),
            padding: self.padding.map(|name| match name {
                PaddingName::Same => PaddingRule::Same,
                PaddingName::Explicit => PaddingRule::Explicit,
                PaddingName::Keras => PaddingRule::Keras,
            }),
            batch_norm_epsilon: self.epsilon,
            ..LoadOptions::default()
        }
    }

    /// Applies the other overrides to what was read.
    pub(crate) fn apply(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let metadata = &mut checkpoint.metadata;
        let channels = metadata.in_channels;
        let preprocessing = &mut metadata.preprocessing;
        if let Some(range) = &self.range {
            let &[black, white] = range.as_slice() else {
                bail!("--range takes two numbers, found {range:?}");
            };
            if black == white {
                bail!("--range: black and white are both {black}");
            }
            let std = 1.0 / (white - black);
            preprocessing.mean = vec![-black * std; channels];
            preprocessing.std = vec![std; channels];
        }
        for (flag, given, values) in [
            ("--mean", &self.mean, &mut preprocessing.mean),
            ("--std", &self.std, &mut preprocessing.std),
        ] {
            match given.as_deref() {
                None => {}
                Some(&[value]) => *values = vec![value; channels],
                Some(given) if given.len() == channels => *values = given.to_vec(),
                Some(given) => bail!("{flag} of {} numbers for {channels} channels", given.len()),
            }
        }
        if preprocessing.std.contains(&0.0) {
            bail!("--std must not be 0");
        }
        if self.range.is_some() || (self.mean.is_some() && self.std.is_some()) {
            let assumed = &mut checkpoint.report.assumed;
            assumed.retain(|assumption| !assumption.starts_with("input range"));
        }
        if let Some(path) = &self.labels {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let names: Vec<String> = text.lines().map(|name| name.trim().to_string()).collect();
            let classes = metadata.classes.unwrap_or(0);
            if names.len() != classes {
                let found = names.len();
                bail!("{}: {found} names for {classes} classes", path.display());
            }
            metadata.labels = Labels::Names(names);
        }
        Ok(())
    }
}

//! Commands and their arguments.

pub(crate) mod train;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mobilenet::hub::DEFAULT_WEIGHTS;

use crate::told::Told;
pub(crate) use train::{AugmentationName, Eval, OptimizerName, ScheduleName, Train};

/// MobileNetV1 in Rust.
///
/// Weights (W) are a file or folder in any format that is read, recognised by content; a known
/// name (see `weights --list`), fetched on first use and kept in the cache; or hf:OWNER/REPO.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Name what photos show
    Classify(Classify),
    /// Run the network on an array, for comparison with other frameworks
    Predict(Predict),
    /// Convert weights of any format to our safetensors, or to ONNX
    Convert(Convert),
    /// Show layers, parameters and multiply-adds
    Inspect(Inspect),
    /// Fetch known weights into the cache, or list them
    Weights(Weights),
    /// Measure the network's speed
    Bench(Bench),
    /// Train or fine-tune on a data set
    Train(Box<Train>),
    /// Measure accuracy on a data set
    Eval(Eval),
    /// Compare with other engines and write docs/benchmarks/
    Report(Report),
    /// Write the generated tables in docs/ anew
    Docs(Docs),
    /// Check the project's own invariants
    Tidy,
}

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Folded, packed and planned, without candle
    Plan,
    /// Our layers on candle, one after the other
    Eager,
}

/// How a photo comes to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PreprocessRule {
    /// Central 87.5 %, then squeezed to the size (TF-slim's evaluation)
    Slim,
    /// The whole photo, squeezed to the size by an antialiasing bilinear filter
    Plain,
    /// Short edge to size + 32, bilinear, then the centre
    HuggingFace,
    /// Short edge to size / 0.875, bicubic, then the centre
    Timm,
}

/// Numbers of the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floating point
    F32,
}

/// How weights are kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// 32 bits
    F32,
    /// Half precision, half the memory
    F16,
    /// bfloat16, half the memory
    Bf16,
}

#[derive(Debug, Args)]
pub(crate) struct Classify {
    /// Photos: JPEG, PNG, BMP, WebP or GIF
    #[arg(required = true, value_name = "PHOTO")]
    pub(crate) photos: Vec<PathBuf>,
    /// Weights
    #[arg(long, value_name = "W", default_value = DEFAULT_WEIGHTS)]
    pub(crate) weights: String,
    /// How many classes to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) top: usize,
    /// Resize rule instead of the weights' own
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) preprocess: Option<PreprocessRule>,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Who computes
    #[arg(long, value_enum, default_value_t = Engine::Plan)]
    pub(crate) engine: Engine,
    /// Numbers of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// How the plan keeps weights in memory [default: f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) weight_type: Option<WeightType>,
    /// One JSON object a photo on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Order of an array's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrayLayout {
    /// [batch, height, width, channels]
    Nhwc,
    /// [batch, channels, height, width]
    Nchw,
}

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// Weights
    #[arg(long, value_name = "W")]
    pub(crate) weights: String,
    /// Input: f32, preprocessed
    #[arg(long, value_name = "IN.npy")]
    pub(crate) input: PathBuf,
    /// Output: logits, or the endpoint's activation
    #[arg(long, value_name = "OUT.npy")]
    pub(crate) output: PathBuf,
    /// An endpoint instead of the logits, for example Conv2d_5_pointwise
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
    /// Largest total stride; beyond it layers are dilated
    #[arg(long, value_name = "8|16|32", value_parser = output_stride)]
    pub(crate) output_stride: Option<usize>,
    /// Order of the axes of input and output maps
    #[arg(long, value_enum, default_value_t = ArrayLayout::Nhwc)]
    pub(crate) layout: ArrayLayout,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Who computes
    #[arg(long, value_enum, default_value_t = Engine::Plan)]
    pub(crate) engine: Engine,
    /// Numbers of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// How the plan keeps weights in memory [default: f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) weight_type: Option<WeightType>,
}

/// A format of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// safetensors with names of this project, TF-slim, transformers, timm or Keras
    Safetensors,
    /// Index of safetensors in several files
    SafetensorsIndex,
    /// Frozen TensorFlow graph
    GraphDef,
    /// TensorFlow's SavedModel
    SavedModel,
    /// TensorFlow's checkpoints, V1 and V2
    Checkpoint,
    /// TensorFlow.js' model.json
    Tfjs,
    /// PyTorch's zip
    Pytorch,
    /// What PyTorch wrote before version 1.6
    PytorchLegacy,
    /// NumPy's npz
    Npz,
    /// Keras' HDF5 file, of a whole model or of weights
    KerasH5,
    /// Keras 3's .keras
    Keras,
    /// ONNX
    Onnx,
    /// TFLite, float or quantised
    Tflite,
}

/// Whose names and layouts a file gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileNames {
    /// TF-slim's variables
    Slim,
    /// Hugging Face transformers' MobileNetV1ForImageClassification
    Hf,
    /// timm's mobilenetv1_100
    Timm,
    /// Keras' MobileNet
    Keras,
}

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileDtype {
    /// 32 bits
    F32,
    /// Half precision, half the size
    F16,
    /// bfloat16, half the size
    Bf16,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// Weights to read
    #[arg(value_name = "IN")]
    pub(crate) input: String,
    /// File to write: safetensors, or ONNX where its name ends in .onnx
    #[arg(value_name = "OUT.safetensors|OUT.onnx")]
    pub(crate) output: PathBuf,
    /// Format of the input, instead of recognising it by content
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) from: Option<FileFormat>,
    /// How values are stored
    #[arg(long, value_enum, default_value_t = FileDtype::F32)]
    pub(crate) dtype: FileDtype,
    /// Names and layouts of a framework instead of our own, so that it can load the file
    #[arg(long, value_enum, value_name = "NAMES")]
    pub(crate) to: Option<FileNames>,
    /// Take the moving averages of parameters that training left in the file
    #[arg(long)]
    pub(crate) ema: bool,
    /// Compare with a reference, arrays input (B x H x W x C) and logits (B x classes); write nothing
    /// where they differ by more than 1e-4 of the largest logit
    #[arg(long, value_name = "REFERENCE.npz")]
    pub(crate) verify: Option<PathBuf>,
    /// Replace the classifier by a new one of so many classes; 0 leaves it out
    #[arg(long, value_name = "N")]
    pub(crate) classes: Option<usize>,
    /// Random numbers of a new classifier
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Resize rule to store instead of the input's own
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) preprocess: Option<PreprocessRule>,
    /// Image side to store instead of the input's own
    #[arg(long, value_name = "PIXELS", value_parser = side())]
    pub(crate) resolution: Option<u64>,
    /// Fold batch normalisation into the convolutions, which get biases instead
    #[arg(long)]
    pub(crate) fold: bool,
    #[command(flatten)]
    pub(crate) told: Told,
    /// The report as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Weights; without them the network that the flags describe
    #[arg(value_name = "W", conflicts_with_all = ["width", "classes"])]
    pub(crate) weights: Option<String>,
    /// Width multiplier
    #[arg(long, default_value_t = 1.0, value_parser = width)]
    pub(crate) width: f64,
    /// Image side [default: the weights' own, or 224]
    #[arg(long, value_name = "PIXELS", value_parser = side())]
    pub(crate) resolution: Option<u64>,
    /// Number of classes, 0 for none
    #[arg(long, default_value_t = 1001)]
    pub(crate) classes: usize,
    /// Largest total stride; beyond it layers are dilated
    #[arg(long, value_name = "8|16|32", value_parser = output_stride)]
    pub(crate) output_stride: Option<usize>,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Weights {
    /// Name to fetch, or hf:OWNER/REPO
    #[arg(value_name = "NAME", conflicts_with = "list")]
    pub(crate) name: Option<String>,
    /// List what is known and what is cached (also without NAME)
    #[arg(long)]
    pub(crate) list: bool,
    /// One JSON object an entry on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchEngine {
    /// Folded, packed and planned, without candle
    Plan,
    /// Our layers on candle, one after the other
    Eager,
    /// The same network from candle_nn's layers, the baseline
    Candle,
}

#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// Width multiplier
    #[arg(long, default_value_t = 1.0, value_parser = width)]
    pub(crate) width: f64,
    /// Image side
    #[arg(long, value_name = "PIXELS", default_value_t = 224, value_parser = side())]
    pub(crate) resolution: u64,
    /// Images a run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) batch: u64,
    /// Number of threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads())]
    pub(crate) threads: u64,
    /// What is measured; several alternate run by run [default: plan]
    #[arg(long, value_enum)]
    pub(crate) engine: Vec<BenchEngine>,
    /// Numbers of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// How the plan keeps weights in memory; several alternate run by run [default: f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) weight_type: Vec<WeightType>,
    /// Measured runs
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) repeat: u64,
    /// One JSON object an engine on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportPart {
    /// Inference, against all engines
    Inference,
    /// Training steps, against PyTorch
    Training,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Measure nothing; fail where tables or plots are not what the stored results say
    #[arg(long)]
    pub(crate) check: bool,
    /// Measure only this part, keep the other's stored results
    #[arg(long, value_enum, conflicts_with = "check")]
    pub(crate) part: Option<ReportPart>,
    /// Measure nothing; write tables and plots anew from the stored results
    #[arg(long, conflicts_with = "check")]
    pub(crate) redraw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Docs {
    /// Write nothing; fail where a file is not what would be written
    #[arg(long)]
    pub(crate) check: bool,
}

fn threads() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=1024)
}

fn side() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=8192)
}

fn width(text: &str) -> Result<f64, String> {
    text.parse::<f64>()
        .ok()
        .filter(|width| *width > 0.0 && *width <= 16.0)
        .ok_or_else(|| "a width multiplier is greater than 0 and at most 16".to_string())
}

fn output_stride(text: &str) -> Result<usize, String> {
    match text {
        "8" => Ok(8),
        "16" => Ok(16),
        "32" => Ok(32),
        _ => Err("an output stride is 8, 16 or 32".to_string()),
    }
}

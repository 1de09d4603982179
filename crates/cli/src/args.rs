//! Commands and their arguments.

mod overrides;
mod train;

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use mobilenet::hub::DEFAULT_WEIGHTS;
use mobilenet::model::checkpoint::Format;

use crate::values::{output_stride, side, threads, width};
pub use overrides::Overrides;
pub use train::{AugmentationName, Eval, OptimizerName, ScheduleName, Train};

/// The everyday commands.
#[derive(Debug, Subcommand)]
pub enum Command {
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
    /// Train or fine-tune on a data set
    Train(Box<Train>),
    /// Measure accuracy on a data set
    Eval(Eval),
}

impl Command {
    /// Whether it asks for the network on candle, with which not every program is built.
    pub fn needs_candle(&self) -> bool {
        let engine = match self {
            Self::Classify(arguments) => arguments.engine,
            Self::Predict(arguments) => arguments.engine,
            _ => Engine::Plan,
        };
        engine == Engine::Eager
    }
}

/// Who computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Folded, packed and planned, without candle
    Plan,
    /// Our layers on candle, one after the other
    Eager,
}

/// How a photo comes to the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PreprocessRule {
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
pub enum Precision {
    /// 32-bit floating point
    F32,
}

/// How weights are kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightType {
    /// 32 bits
    F32,
    /// Half precision, half the memory
    F16,
    /// bfloat16, half the memory
    Bf16,
}

/// Arguments of `classify`.
#[derive(Debug, Args)]
pub struct Classify {
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
pub enum ArrayLayout {
    /// [batch, height, width, channels]
    Nhwc,
    /// [batch, channels, height, width]
    Nchw,
}

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct Predict {
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

/// Whose names and layouts a file gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileNames {
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
pub enum FileDtype {
    /// 32 bits
    F32,
    /// Half precision, half the size
    F16,
    /// bfloat16, half the size
    Bf16,
}

/// Arguments of `convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// Weights to read
    #[arg(value_name = "IN")]
    pub(crate) input: String,
    /// File to write: safetensors, or ONNX where its name ends in .onnx
    #[arg(value_name = "OUT.safetensors|OUT.onnx")]
    pub(crate) output: PathBuf,
    /// Format of the input, instead of recognising it by content
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub(crate) from: Option<Format>,
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
    pub(crate) overrides: Overrides,
    /// The report as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
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

/// Arguments of `weights`.
#[derive(Debug, Args)]
pub struct Weights {
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

/// The formats that are read, by their words.
fn format() -> impl TypedValueParser<Value = Format> {
    let words =
        Format::ALL.map(|format| PossibleValue::new(format.word()).help(format.to_string()));
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

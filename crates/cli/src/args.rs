//! Commands and their arguments.

mod bench;
mod choose;
mod compress;
mod detect;
mod engine;
mod features;
mod overrides;
mod preprocess;
mod quantize;
mod scheme;
mod train;

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use mobilenet::hub::DEFAULT_WEIGHTS;
use mobilenet::model::checkpoint::Format;

use crate::manifest::Part;
use crate::progress;
use crate::values::{
    Size, answers_file, output_stride, part, share, size, threads, weights_file, width,
};
use crate::version::version;
pub use bench::{Bench, BenchEngine};
pub use choose::Choose;
pub use compress::Compress;
pub use detect::{Detect, SuppressionRule};
pub use engine::{Arithmetic, Engine, Precision, WeightType};
pub use features::{Duplicates, Features, Knn, Search};
pub use overrides::Overrides;
pub use preprocess::{FeaturePreprocess, Preprocess, PreprocessRule};
pub use quantize::{IntegerFormat, Quantize, RangeRule};
pub use scheme::SchemeName;
pub use train::{
    AugmentationName, ClassLossName, Eval, OptimizerName, Ranks, ReplicasName, ScheduleName, Task,
    Train, WireName,
};

/// MobileNetV1: classify photos, convert weights, train.
///
/// Weights (W) are a file or folder in any supported format, recognised by content; or a known name
/// (see `weights --list`) or hf:OWNER/REPO, fetched on first use and kept in the cache.
#[derive(Debug, Parser)]
#[command(name = "mobilenet", version = version(), max_term_width = 100)]
pub struct Cli {
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// What all commands take.
#[derive(Debug, Args)]
pub struct Common {
    /// Show no progress; results, warnings and errors are still printed
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl Common {
    /// Applies the options to the process.
    pub fn apply(&self) {
        progress::set_quiet(self.quiet);
    }
}

/// The everyday commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Name what photos show
    Classify(Classify),
    /// Find objects in photos
    Detect(Detect),
    /// Run the network on an array, for comparison with other frameworks
    Predict(Predict),
    /// Convert weights of any format to our safetensors, ONNX or TFLite
    Convert(Convert),
    /// Make a network of 8-bit integers from weights and photos
    Quantize(Quantize),
    /// Show layers, parameters and multiply-adds
    Inspect(Inspect),
    /// Fetch known weights into the cache, or list them
    Weights(Weights),
    /// Train or fine-tune on a data set
    Train(Box<Train>),
    /// Measure accuracy on a data set
    Eval(Eval),
    /// Measure the network's speed on this machine
    Bench(Bench),
    /// Choose width, resolution and number type for a budget of this machine
    Choose(Choose),
    /// Print a script that completes the program's words in a shell
    Completions(Completions),
    /// Write manual pages
    Manual(Manual),
    /// Write the features of photos
    Features(Features),
    /// Find the photos that are most like a photo
    Search(Search),
    /// Find photos that are there more than once
    Duplicates(Duplicates),
    /// Measure the accuracy of nearest neighbours by features
    Knn(Knn),
    /// Make one table of the parts of classify --part
    Merge(Merge),
}

impl Command {
    /// Whether `cargo xtask` runs the command with candle: the network on candle is asked for, or
    /// times are compared with candle's.
    pub fn needs_candle(&self) -> bool {
        let engine = match self {
            Self::Bench(_) => return true,
            Self::Classify(arguments) => arguments.engine,
            Self::Predict(arguments) => arguments.engine,
            _ => Engine::Plan,
        };
        engine == Engine::Eager
    }
}

/// Arguments of `classify`.
#[derive(Debug, Args)]
pub struct Classify {
    /// Photos (JPEG, PNG, BMP, WebP, GIF, TIFF, PNM); folders, of which all photos below are taken,
    /// but no hidden ones; - for a list of paths on standard input, one per line
    #[arg(required_unless_present = "manifest", value_name = "PHOTO|DIR|-")]
    pub(crate) photos: Vec<PathBuf>,
    /// A list of photos instead: a path a line, or the first column of a CSV file, with the name
    /// photo or path, or a Parquet file with paths or bytes, if the program was built with that feature
    #[arg(long, value_name = "M", conflicts_with = "photos")]
    pub(crate) manifest: Option<PathBuf>,
    /// Classify part I, from 0, of N equal parts of the manifest. Its file appears whole or not at
    /// all, and if it is there already, nothing is done. Broken photos are rows, and no failure
    #[arg(long, value_name = "I/N", requires_all = ["manifest", "output"], conflicts_with_all = ["photos", "resume", "explain"], value_parser = part)]
    pub(crate) part: Option<Part>,
    /// Weights
    #[arg(short, long, value_name = "W", default_value = DEFAULT_WEIGHTS)]
    pub(crate) weights: String,
    /// Number of classes to show
    #[arg(short = 'k', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) top: u32,
    /// Leave out classes that are less probable than this [default: 0; but own classes from train
    /// --head are left out if the best of them is less probable than 95 % of right answers are]
    #[arg(long, value_name = "P", value_parser = share)]
    pub(crate) min_probability: Option<f64>,
    #[command(flatten)]
    pub(crate) preprocess: Preprocess,
    /// Number of threads [default: all cores; for a single photo, as many as the network has work for]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Engine that computes
    #[arg(long, value_enum, default_value_t = Engine::Plan)]
    pub(crate) engine: Engine,
    /// Number type of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// Number type of the plan's weights in memory [default: f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) weight_type: Option<WeightType>,
    /// Draw what speaks for the best class over the photo; of several photos into a folder
    #[arg(long, value_name = "OUT.png|DIR")]
    pub(crate) explain: Option<PathBuf>,
    /// Decode every pixel of JPEGs that are far larger than the network's input
    #[arg(long)]
    pub(crate) exact: bool,
    /// Classify photos that are cut off or broken by what is there of them, with a warning
    #[arg(long)]
    pub(crate) lenient: bool,
    /// Print one JSON object per photo
    #[arg(short, long)]
    pub(crate) json: bool,
    /// Print CSV, one record per photo
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Write the answers to a new file, as its ending says: CSV, JSON lines, or Parquet, if the
    /// program was built with that feature
    #[arg(short, long, visible_alias = "out", value_name = "FILE.csv|FILE.jsonl|FILE.parquet", value_parser = answers_file)]
    pub(crate) output: Option<PathBuf>,
    /// Complete the file of --output, which an interrupted run has left
    #[arg(long, requires = "output")]
    pub(crate) resume: bool,
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct Merge {
    /// Files of classify --part, of one kind. Their order is that of the numbers at the end of their
    /// names
    #[arg(required = true, value_name = "PART")]
    pub(crate) parts: Vec<PathBuf>,
    /// The table to write, a new file
    #[arg(short, long, visible_alias = "out", value_name = "FILE.csv|FILE.jsonl|FILE.parquet", value_parser = answers_file)]
    pub(crate) output: PathBuf,
    /// The manifest, with whose photos the rows are compared
    #[arg(long, value_name = "M")]
    pub(crate) manifest: Option<PathBuf>,
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
    #[arg(short, long, value_name = "W")]
    pub(crate) weights: String,
    /// Input: preprocessed images, f32, 4 axes in the order of --layout. With --raw the network's
    /// own integers, [batch, height, width, channels]
    #[arg(long, value_name = "IN.npy")]
    pub(crate) input: PathBuf,
    /// Output: the logits, or the endpoint's activation. With --raw the network's own output, or the
    /// endpoint's integers
    #[arg(short, long, value_name = "OUT.npy")]
    pub(crate) output: PathBuf,
    /// Endpoint to write instead of the logits, for example Conv2d_5_pointwise
    #[arg(long, value_name = "NAME")]
    pub(crate) endpoint: Option<String>,
    /// Limit of the total stride; later layers are dilated instead [default: 32]
    #[arg(long, value_name = "8|16|32", value_parser = output_stride)]
    pub(crate) output_stride: Option<usize>,
    /// Order of the axes of the input and of activations in the output
    #[arg(long, value_enum, default_value_t = ArrayLayout::Nhwc)]
    pub(crate) layout: ArrayLayout,
    /// Number of threads [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Engine that computes
    #[arg(long, value_enum, default_value_t = Engine::Plan)]
    pub(crate) engine: Engine,
    /// Number type of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// Read and write the integers of a quantised TFLite file
    #[arg(long)]
    pub(crate) raw: bool,
    /// Rounding of a quantised network's sums [default: xnnpack]
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) arithmetic: Option<Arithmetic>,
    /// Number type of the plan's weights in memory [default: f32]
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) weight_type: Option<WeightType>,
}

/// The framework whose names and layouts a file has.
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

/// Number type of the stored values.
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
    /// File to write, in the format that its ending names
    #[arg(value_name = "OUT.safetensors|OUT.onnx|OUT.tflite", value_parser = weights_file)]
    pub(crate) output: PathBuf,
    /// Format of the input [default: recognised by content]
    #[arg(long, value_name = "FORMAT", value_parser = format())]
    pub(crate) from: Option<Format>,
    /// Number type of the stored values
    #[arg(long, value_enum, default_value_t = FileDtype::F32)]
    pub(crate) dtype: FileDtype,
    /// Write the names and layouts of this framework, so that it can load the file [default: ours]
    #[arg(long, value_enum, value_name = "NAMES")]
    pub(crate) to: Option<FileNames>,
    /// Take the moving averages of the parameters, if training stored them in the file
    #[arg(long)]
    pub(crate) ema: bool,
    /// Compare logits with a reference: arrays `input` [B, H, W, C] and `logits` [B, classes].
    /// Write nothing if they differ by more than 1e-4 of the largest logit
    #[arg(long, value_name = "REFERENCE.npz")]
    pub(crate) verify: Option<PathBuf>,
    /// Replace the classifier by a new, random one of N classes; 0 removes it
    #[arg(long, value_name = "N")]
    pub(crate) classes: Option<usize>,
    /// Seed of a new classifier's random weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Resize rule to store [default: the input's own]
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) preprocess: Option<PreprocessRule>,
    /// Image side, or rows and columns, to store [default: the input's own]
    #[arg(long, value_name = "PIXELS|ROWSxCOLUMNS", value_parser = size)]
    pub(crate) resolution: Option<Size>,
    /// Fold batch normalisation into the weights and biases of the convolutions
    #[arg(long)]
    pub(crate) fold: bool,
    #[command(flatten)]
    pub(crate) compress: Compress,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
    /// Print the report as one JSON object
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Weights [default: the network that the options describe]
    #[arg(value_name = "W", conflicts_with_all = ["width", "classes"])]
    pub(crate) weights: Option<String>,
    /// A network with which the paper compares, with 1000 classes
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(mobilenet::model::prior_work::NAMES), conflicts_with_all = ["weights", "width", "classes", "output_stride"])]
    pub(crate) network: Option<String>,
    /// Width multiplier
    #[arg(long, default_value_t = 1.0, value_parser = width)]
    pub(crate) width: f64,
    /// Image side, or rows and columns [default: the weights' or network's own, or 224]
    #[arg(long, value_name = "PIXELS|ROWSxCOLUMNS", value_parser = size)]
    pub(crate) resolution: Option<Size>,
    /// Number of classes, 0 for none
    #[arg(long, default_value_t = 1001)]
    pub(crate) classes: usize,
    /// Limit of the total stride; later layers are dilated instead [default: 32]
    #[arg(long, value_name = "8|16|32", value_parser = output_stride)]
    pub(crate) output_stride: Option<usize>,
    /// Print one JSON object
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// Arguments of `weights`.
#[derive(Debug, Args)]
pub struct Weights {
    /// Name to fetch, or hf:OWNER/REPO
    #[arg(value_name = "NAME", conflicts_with = "list")]
    pub(crate) name: Option<String>,
    /// List known weights, and which are cached (the default without NAME)
    #[arg(long)]
    pub(crate) list: bool,
    /// Print one JSON object per entry
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Arguments of `manual`.
#[derive(Debug, Args)]
pub struct Manual {
    /// Folder for mobilenet.1 and a page for each command
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

/// Parser of a format's name.
fn format() -> impl TypedValueParser<Value = Format> {
    let words =
        Format::ALL.map(|format| PossibleValue::new(format.word()).help(format.to_string()));
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

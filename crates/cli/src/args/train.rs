//! Arguments of `train` and `eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::values::{positive, side, threads, width};

/// How gradients become steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// RMSProp in TensorFlow's form, decay and momentum 0.9, epsilon 1 (slim's generic trainer)
    Rmsprop,
    /// Gradient descent with --momentum (Nesterov's); slim's mobilenet_v1_train.py has 0
    Sgd,
    /// Adam with decoupled weight decay
    Adamw,
}

/// Learning rate over steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleName {
    /// Rises for --warm-up epochs, then half a cosine down to 0
    Cosine,
    /// Times 0.94 every 2.5 epochs (slim)
    Exponential,
    /// The same for all steps
    Constant,
}

/// What happens to photos at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AugmentationName {
    /// slim's: crops from 5 % of the area, mirrored, brightness and saturation
    Inception,
    /// slim's slow mode: other resize methods, hue and contrast, too
    InceptionSlow,
    /// The paper's advice for small networks: no small crops
    Mild,
    /// Shifted by up to a 24th of the side and mirrored, for small images
    CropFlip,
    /// Nothing
    None,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// `fashion-mnist`; a folder of class folders with photos (train/ and test/ or validation/
    /// below it where they exist); a folder of TFRecord shards; or a CSV list of paths and labels
    #[arg(long, value_name = "D")]
    pub(crate) data: String,
    /// Folder for weights, checkpoints, logs and the report
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Width multiplier [default: that of --init, else 0.25 for fashion-mnist and 1.0 for photos]
    #[arg(long, value_parser = width)]
    pub(crate) width: Option<f64>,
    /// Image side [default: that of --init, else 96 for fashion-mnist and 224 for photos]
    #[arg(long, value_name = "PIXELS", value_parser = side())]
    pub(crate) resolution: Option<u64>,
    /// How often every photo is seen [default: 20; with --init 14]
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    pub(crate) epochs: Option<u64>,
    /// Number of steps instead of epochs
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Photos of a step [default: 128 for fashion-mnist, 32 for photos]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) batch_size: Option<u64>,
    /// How gradients become steps
    #[arg(long, value_enum)]
    pub(crate) optimizer: Option<OptimizerName>,
    /// Learning rate at the beginning, or after the warm-up
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub(crate) learning_rate: Option<f64>,
    /// Learning rate over steps
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// Epochs in which a cosine's rate rises
    #[arg(long, value_name = "EPOCHS", value_parser = positive)]
    pub(crate) warm_up: Option<f64>,
    /// Momentum of sgd
    #[arg(long, value_parser = share, default_value_t = 0.9)]
    pub(crate) momentum: f64,
    /// L2 of convolution and logits weights, none on depthwise ones
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    pub(crate) weight_decay: Option<f64>,
    /// Share of the probability that goes to all classes alike
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) label_smoothing: Option<f64>,
    /// Of running statistics; slim's 0.9997 needs long runs
    #[arg(long, value_name = "DECAY", value_parser = share)]
    pub(crate) batch_norm_decay: Option<f64>,
    /// Probability with which a pooled feature is kept
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) dropout_keep: Option<f64>,
    /// What happens to photos at random
    #[arg(long, value_enum)]
    pub(crate) augment: Option<AugmentationName>,
    /// Evaluate and save a moving average of the weights [default decay: 0.999]
    #[arg(long, value_name = "DECAY", num_args = 0..=1, default_missing_value = "0.999",
          require_equals = true, value_parser = share)]
    pub(crate) ema: Option<f64>,
    /// Largest norm of all gradients together
    #[arg(long, value_name = "NORM", value_parser = positive)]
    pub(crate) clip_norm: Option<f64>,
    /// Weights to begin with
    #[arg(long, value_name = "W")]
    pub(crate) init: Option<String>,
    /// Draw the classifier anew instead of taking it from --init
    #[arg(long, requires = "init")]
    pub(crate) exclude_logits: bool,
    /// Keep the classifier's rows of classes with the same names, draw the others anew
    #[arg(long, requires = "init", conflicts_with = "exclude_logits")]
    pub(crate) slice_logits: bool,
    /// Train only layers whose names begin so, for example Logits or Conv2d_13; may be repeated
    #[arg(long, value_name = "SCOPE")]
    pub(crate) train_only: Vec<String>,
    /// Batch norm keeps to the running statistics of --init
    #[arg(long, requires = "init")]
    pub(crate) freeze_batch_norm: bool,
    /// Learn from this network's output, too
    #[arg(long, value_name = "W")]
    pub(crate) teacher: Option<String>,
    /// Share of the teacher in the loss, the rest is the labels'
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 1.0)]
    pub(crate) teacher_weight: f64,
    /// What the logits of both are divided by
    #[arg(long, value_parser = positive, default_value_t = 1.0)]
    pub(crate) temperature: f64,
    /// Random numbers of initial weights, order, augmentation and dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Go on from the newest good checkpoint in DIR
    #[arg(long)]
    pub(crate) resume: bool,
    /// Steps between checkpoints [default: an epoch]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) save_every: Option<u64>,
    /// Checkpoints that are kept
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) keep: usize,
    /// Steps between records
    #[arg(long, value_name = "STEPS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) log_every: u64,
    /// Share of photos that may be unreadable; they are named and skipped
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 0.01)]
    pub(crate) max_skipped: f64,
    /// Threads of the network [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// Threads that decode and augment photos
    #[arg(long, value_name = "N", value_parser = threads(), default_value_t = 1)]
    pub(crate) workers: u64,
    /// Records as JSON objects on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// Weights
    #[arg(long, value_name = "W")]
    pub(crate) weights: String,
    /// As for `train` (its test part), or with --labels a folder of photos whose names sort in
    /// the order of the labels
    #[arg(long, value_name = "D")]
    pub(crate) data: String,
    /// One class index a line
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Added to the data's class numbers: 1 where the weights have a background class and the
    /// data has not [default: 1 for 1000 classes of data and 1001 of the weights, else 0]
    #[arg(long, value_name = "N")]
    pub(crate) label_offset: Option<u32>,
    /// Resize rule instead of the weights' own
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) preprocess: Option<super::PreprocessRule>,
    /// Photos that are computed together
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) batch_size: u64,
    /// Share of photos that may be unreadable; they are named and skipped
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 0.01)]
    pub(crate) max_skipped: f64,
    /// Number of threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "a number from 0 to 1".to_string())
}

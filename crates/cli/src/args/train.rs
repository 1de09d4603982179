//! Arguments of `train` and `eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mobilenet::model::Structure;

use super::SchemeName;
use super::compress::{MethodName, bits};
use super::engine::Precision;
use super::preprocess::{Preprocess, PreprocessRule};
use crate::values::{
    EmbeddingWidth, embedding_width, not_negative, share, side, structure, threads, width,
};

/// What is trained or measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// A class for each photo
    Classification,
    /// Boxes around objects (SSD)
    Detection,
    /// Attributes, each of which a photo has or not
    MultiLabel,
    /// A vector for each photo: photos of the same have the same direction
    Embedding,
    /// The place where a photo was taken, as a cell of the earth
    Places,
}

/// The loss of a detector's classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClassLossName {
    /// Cross entropy of the boxes that are furthest from right
    HardNegatives,
    /// Cross entropy of all boxes, weighted by how far from right they are
    Focal,
}

/// The optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// TensorFlow's RMSProp, decay and momentum 0.9, epsilon 1 (slim's generic trainer)
    Rmsprop,
    /// Gradient descent with Nesterov's --momentum (0 in slim's mobilenet_v1_train.py)
    Sgd,
    /// Adam with decoupled weight decay
    Adamw,
}

/// How the learning rate changes over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleName {
    /// Rise for --warm-up epochs, then fall to 0 along half a cosine
    Cosine,
    /// Multiply by 0.94 every 2.5 epochs (slim)
    Exponential,
    /// Keep it constant
    Constant,
}

/// How photos are changed at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AugmentationName {
    /// slim's: crops of at least 5 % of the area, mirroring, brightness, saturation
    Inception,
    /// slim's slow mode: also random resize methods, hue and contrast
    InceptionSlow,
    /// slim's without small crops, as the paper advises for small networks
    Mild,
    /// Shifts by up to 1/24 of the side and mirroring, for small images
    CropFlip,
    /// No changes
    None,
}

/// How ranks under mpirun train together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplicasName {
    /// All compute shards of the same step
    Sync,
    /// slim's: --ps servers hold the weights, and workers do not wait for each other
    Async,
}

/// Number types of gradients between ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WireName {
    /// The bits of one rank
    F32,
    /// Half of the bytes
    Bf16,
}

/// What commands take that run as several ranks.
#[derive(Debug, Clone, Args)]
pub struct Ranks {
    /// Seconds after which a rank under mpirun that sends nothing ends the run
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(crate) rank_timeout: u64,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// What to train
    #[arg(long, value_enum, default_value_t = Task::Classification)]
    pub(crate) task: Task,
    /// `fashion-mnist`; a folder with one folder of photos per class, or with such folders in
    /// train/ and test/ or validation/; a folder of TFRecord shards; or a CSV list of paths and
    /// labels. With --task detection a folder of photos with VOC's XML, COCO's JSON or YOLO's text
    /// files, in parts (train, test or val) or not. With --task multi-label a CSV list whose first line
    /// is `photo,labels` (labels with | between them) or `photo` and a column of 0 to 1 for each
    /// attribute; with --task places `photo,latitude,longitude`; with --task embedding photos with
    /// labels, or `photo` and the numbers of a vector to learn. TRAIN.csv,TEST.csv are two parts
    #[arg(short, long, value_name = "D")]
    pub(crate) data: String,
    /// Folder for weights, checkpoints, logs and the report
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// MobileNet, or one of the two networks with which the paper compares its layers [default: that
    /// of --init, else mobilenet]
    #[arg(long, value_name = "NAME", value_parser = structure())]
    pub(crate) network: Option<Structure>,
    /// Width multiplier [default: that of --init, else 0.25 for fashion-mnist and 1.0 for photos]
    #[arg(long, value_parser = width)]
    pub(crate) width: Option<f64>,
    /// Image side [default: that of --init, else 96 for fashion-mnist and 224 for photos]
    #[arg(long, value_name = "PIXELS", value_parser = side())]
    pub(crate) resolution: Option<u64>,
    /// Number of times that each photo is used [default: 20, or 14 with --init]
    #[arg(short, long, value_name = "N", conflicts_with = "steps")]
    pub(crate) epochs: Option<u64>,
    /// Number of steps [default: those of --epochs]
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Photos per step [default: 128 for fashion-mnist, 32 for photos]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) batch_size: Option<u64>,
    /// Into how many shards the photos of a step fall. Each has its own batch-norm statistics. Ranks
    /// under mpirun share them out; the result depends on this number, not on that of the ranks
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) shards: u64,
    /// Number type of gradients on the way between ranks. bf16 halves the bytes, adds what rounding
    /// has lost to the next step, and makes the result depend on the number of ranks
    #[arg(long, value_enum, default_value_t = WireName::F32)]
    pub(crate) wire: WireName,
    /// How ranks under mpirun train together [default: sync]
    #[arg(long, value_enum)]
    pub(crate) replicas: Option<ReplicasName>,
    /// Number of ranks that are servers of --replicas async; the others are workers [default: 1]
    #[arg(long, value_name = "P", requires = "replicas")]
    pub(crate) ps: Option<usize>,
    /// With --replicas async, a step is the mean of N batches that were computed from its weights;
    /// later ones are dropped (slim's SyncReplicas) [default: each batch is a step]
    #[arg(long, value_name = "N", requires = "replicas", value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) replicas_to_aggregate: Option<u64>,
    /// Optimiser [default: sgd]
    #[arg(long, value_enum)]
    pub(crate) optimizer: Option<OptimizerName>,
    /// Learning rate at the start, or after the warm-up [default: depends on data, --init,
    /// --batch-size and --optimizer]
    #[arg(long, value_name = "RATE", value_parser = not_negative)]
    pub(crate) learning_rate: Option<f64>,
    /// How the learning rate changes over the steps [default: cosine]
    #[arg(long, value_enum)]
    pub(crate) schedule: Option<ScheduleName>,
    /// Epochs in which the rate of `cosine` rises from 0 [default: 1]
    #[arg(long, value_name = "EPOCHS", value_parser = not_negative)]
    pub(crate) warm_up: Option<f64>,
    /// Momentum of `sgd`
    #[arg(long, value_parser = share, default_value_t = 0.9)]
    pub(crate) momentum: f64,
    /// Factor of the L2 penalty on convolution and logits weights, except depthwise ones [default:
    /// 1e-4 for fashion-mnist without --init, else 4e-5]
    #[arg(long, value_name = "FACTOR", value_parser = not_negative)]
    pub(crate) weight_decay: Option<f64>,
    /// Share of the label's probability that is spread over all classes [default: 0.05 for
    /// fashion-mnist without --init, else 0.1]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) label_smoothing: Option<f64>,
    /// Decay of batch norm's running statistics [default: 0.99, or 0.9 with --init; slim's 0.9997
    /// needs long runs]
    #[arg(long, value_name = "DECAY", value_parser = share)]
    pub(crate) batch_norm_decay: Option<f64>,
    /// Probability that dropout keeps a pooled feature [default: 0.999]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) dropout_keep: Option<f64>,
    /// How photos are changed at random [default: crop-flip for fashion-mnist
    /// without --init, else mild]
    #[arg(long, value_enum)]
    pub(crate) augment: Option<AugmentationName>,
    /// Evaluate and save a moving average of the weights with this decay; 0 turns it off, --ema
    /// alone means 0.999 [default: 0.98 with --init, else 0.999 for fashion-mnist, off for photos]
    #[arg(long, value_name = "DECAY", num_args = 0..=1, default_missing_value = "0.999",
          require_equals = true, value_parser = share)]
    pub(crate) ema: Option<f64>,
    /// Limit of the norm of all gradients together [default: none]
    #[arg(long, value_name = "NORM", value_parser = not_negative)]
    pub(crate) clip_norm: Option<f64>,
    /// Weights to start from [default: random weights; with --head Google's at width 1.0]
    #[arg(short, long, value_name = "W")]
    pub(crate) init: Option<String>,
    /// Loss of a detector's classes
    #[arg(long, value_enum, default_value_t = ClassLossName::HardNegatives)]
    pub(crate) class_loss: ClassLossName,
    /// With --task embedding, how many numbers the vector has; `none`: there is no last layer, and the
    /// pooled features are the vector [default: those of the vectors to learn, else 128, as FaceNet's]
    #[arg(long, value_name = "N", value_parser = embedding_width)]
    pub(crate) embedding_width: Option<EmbeddingWidth>,
    /// With --task places, cells with fewer photos are left out
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) cell_least: u64,
    /// With --task places, cells with more photos are divided
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) cell_most: u64,
    /// Train the classifier only, in seconds: logistic regression on features that are computed once
    /// and kept in DIR/features
    #[arg(long, conflicts_with_all = [
        "network", "width", "epochs", "steps", "batch_size", "optimizer", "learning_rate", "schedule",
        "warm_up", "weight_decay", "label_smoothing", "batch_norm_decay", "dropout_keep",
        "augment", "ema", "clip_norm", "slice_logits", "train_only", "freeze_batch_norm",
        "teacher", "save_every", "quantize", "shards", "wire", "replicas",
    ])]
    pub(crate) head: bool,
    /// Factor of the L2 penalty of --head, on features of mean 0 and deviation 1
    #[arg(long, value_name = "FACTOR", requires = "head", value_parser = not_negative, default_value_t = 0.01)]
    pub(crate) l2: f64,
    /// How --head resizes photos [default: the rule stored with the weights]
    #[arg(long, value_enum, value_name = "RULE", requires = "head")]
    pub(crate) preprocess: Option<PreprocessRule>,
    /// Start with a random classifier instead of that of --init
    #[arg(long, requires = "init")]
    pub(crate) exclude_logits: bool,
    /// Keep the classifier's weights for classes with the same names; start the others at random
    #[arg(long, requires = "init", conflicts_with = "exclude_logits")]
    pub(crate) slice_logits: bool,
    /// Train only layers whose names start with this, for example Logits or Conv2d_13; may be
    /// repeated [default: all layers]
    #[arg(long, value_name = "SCOPE")]
    pub(crate) train_only: Vec<String>,
    /// Keep batch norm's running statistics of --init
    #[arg(long, requires = "init")]
    pub(crate) freeze_batch_norm: bool,
    /// Train for 8-bit integers, as slim's --quantize: weights and activations are rounded as the
    /// integers will be, and the network of integers is evaluated
    #[arg(long)]
    pub(crate) quantize: bool,
    /// Train the few values that a small file holds, as `convert --compress` writes it. Batch norm is
    /// folded. For 1 to 3 epochs at a small --learning-rate, such as 0.002
    #[arg(long, value_enum, value_name = "METHOD", requires = "init",
          conflicts_with_all = ["quantize", "head"])]
    pub(crate) compress: Option<MethodName>,
    /// With int8 or int4: bits that a weight takes in the file, on average
    #[arg(long, value_name = "1.0..8.0", requires = "compress", value_parser = bits)]
    pub(crate) bits: Option<f64>,
    /// Scales of the weights
    #[arg(long, value_enum, requires = "quantize", default_value_t = SchemeName::PerTensor)]
    pub(crate) scheme: SchemeName,
    /// First step that rounds; earlier ones only measure ranges [default: 0 with --init, else 250000]
    #[arg(long, value_name = "STEP", requires = "quantize")]
    pub(crate) quant_delay: Option<u64>,
    /// First step from which batch norm uses its running statistics, and keeps them [default: none]
    #[arg(long, value_name = "STEP", requires = "quantize")]
    pub(crate) freeze_bn_delay: Option<u64>,
    /// Also learn from the output of this network (distillation)
    #[arg(long, value_name = "W")]
    pub(crate) teacher: Option<String>,
    /// Share of the teacher in the loss; the rest is the share of the labels
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 1.0)]
    pub(crate) teacher_weight: f64,
    /// Divisor of the teacher's and the network's logits in the loss
    #[arg(long, value_parser = not_negative, default_value_t = 1.0)]
    pub(crate) temperature: f64,
    /// Seed of the random initial weights, order, augmentation and dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Continue from the newest good checkpoint in DIR, if there is one
    #[arg(long)]
    pub(crate) resume: bool,
    /// Steps between checkpoints [default: one epoch]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) save_every: Option<u64>,
    /// Number of newest checkpoints to keep
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) keep: usize,
    /// Steps between records in the log
    #[arg(long, value_name = "STEPS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) log_every: u64,
    /// Share of photos that may be unreadable; they are reported and skipped
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 0.01)]
    pub(crate) max_skipped: f64,
    /// Number of threads of the network, on each rank; the bits of the result depend on it [default:
    /// all cores, or 1 with several shards or ranks, so that the result does not depend on the machine]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    #[command(flatten)]
    pub(crate) ranks: Ranks,
    /// Number of threads that decode and augment photos
    #[arg(long, value_name = "N", value_parser = threads(), default_value_t = 1)]
    pub(crate) workers: u64,
    /// Print each record as a JSON object
    #[arg(short, long)]
    pub(crate) json: bool,
}

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// What to measure
    #[arg(long, value_enum, default_value_t = Task::Classification)]
    pub(crate) task: Task,
    /// Weights; with --task detection a detector's file, as `detect` takes it
    #[arg(short, long, value_name = "W")]
    pub(crate) weights: String,
    /// Data as for `train`, of which the test part is used; with --task embedding also a CSV list
    /// `photo,other,same` of pairs, which show the same (1) or not (0). Its classes are found among those of the
    /// weights by name: label, WordNet id or number. With --labels a folder of photos, which are
    /// matched with the labels in the order of their names
    #[arg(short, long, value_name = "D")]
    pub(crate) data: String,
    /// File with the class index of each photo, one per line
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Number to add to the data's class indices: 1 if only the weights have a background class
    /// [default: 1 if the weights have ImageNet's 1001 classes, and the data's highest index is 999
    /// or its lowest 0; else 0]
    #[arg(long, value_name = "N")]
    pub(crate) label_offset: Option<u32>,
    #[command(flatten)]
    pub(crate) preprocess: Preprocess,
    /// Number type of the computation
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// Number of photos to compute together
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(crate) batch_size: u64,
    /// Share of photos that may be unreadable; they are reported and skipped
    #[arg(long, value_name = "SHARE", value_parser = share, default_value_t = 0.01)]
    pub(crate) max_skipped: f64,
    /// Number of threads [default: all cores]
    #[arg(short, long, value_name = "N", value_parser = threads())]
    pub(crate) threads: Option<u64>,
    #[command(flatten)]
    pub(crate) ranks: Ranks,
    /// Write the answer for each photo as CSV
    #[arg(long, value_name = "OUT.csv")]
    pub(crate) predictions: Option<PathBuf>,
    /// Write a report: classes, a confusion matrix and the worst photos
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Print one JSON object
    #[arg(short, long)]
    pub(crate) json: bool,
}

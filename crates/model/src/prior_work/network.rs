//! A network as data: a tree of layers, pools and branches.

use mobilenet_kernels::{Activation, BatchNormConfig, Normalizer, Padding};

/// A network as its paper describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Name on the command line.
    pub name: &'static str,
    /// Side of the images that it was published for.
    pub resolution: usize,
    /// Its parts, in order of computation. The input has three channels.
    pub nodes: Vec<Node>,
}

impl Network {
    /// The same network for another number of classes.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        let last = self.nodes.iter_mut().rev().find_map(|node| match node {
            Node::Layer(layer) => Some(layer),
            _ => None,
        });
        if let Some(classifier) = last {
            classifier.out_channels = classes;
        }
        self
    }
}

/// A part of a network.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A convolution. A fully connected layer is one whose kernel is as large as the map.
    Layer(Layer),
    /// A pool.
    Pool(Pool),
    /// An activation that does not follow a layer directly.
    Activation(Activation),
    /// Local response normalisation, which has no parameters.
    LocalResponse,
    /// The mean of each channel.
    GlobalMean,
    /// Branches from the same map, whose channels are put side by side.
    Concat(Vec<Vec<Node>>),
    /// Branches from the same map, which are added. An empty branch is the map itself.
    Sum(Vec<Vec<Node>>),
}

/// Which input channels an output channel of a convolution reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// All.
    Full,
    /// Those of its own one of so many equal groups.
    Groups(usize),
    /// Its own.
    Depthwise,
}

/// A convolution with its normaliser and activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name, in the words of a framework that has the network.
    pub name: String,
    /// Which input channels an output channel reads.
    pub connection: Connection,
    /// Output channels.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Stride of rows and columns.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// What follows the convolution.
    pub normalizer: Normalizer,
    /// What follows the normaliser.
    pub activation: Activation,
}

impl Layer {
    /// A full convolution with SAME padding, a bias and ReLU.
    pub(super) fn new(name: impl Into<String>, out_channels: usize, kernel: [usize; 2]) -> Self {
        Self {
            name: name.into(),
            connection: Connection::Full,
            out_channels,
            kernel,
            stride: 1,
            padding: Padding::Same,
            normalizer: Normalizer::Bias,
            activation: Activation::Relu,
        }
    }

    /// A depthwise convolution, as [`Self::new`].
    pub(super) fn depthwise(name: impl Into<String>, channels: usize, kernel: [usize; 2]) -> Self {
        Self {
            connection: Connection::Depthwise,
            ..Self::new(name, channels, kernel)
        }
    }

    pub(super) fn groups(self, groups: usize) -> Self {
        let connection = Connection::Groups(groups);
        Self { connection, ..self }
    }

    pub(super) fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub(super) fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    pub(super) fn valid(self) -> Self {
        self.padding(Padding::VALID)
    }

    pub(super) fn batch_norm(self) -> Self {
        let normalizer = Normalizer::BatchNorm(BatchNormConfig::default());
        Self { normalizer, ..self }
    }

    pub(super) fn without_normalizer(self) -> Self {
        let normalizer = Normalizer::None;
        Self { normalizer, ..self }
    }

    pub(super) fn linear(self) -> Self {
        let activation = Activation::Identity;
        Self { activation, ..self }
    }

    /// Input channels that an output channel reads.
    pub fn fan_in(&self, in_channels: usize) -> usize {
        match self.connection {
            Connection::Full => in_channels,
            Connection::Groups(groups) => in_channels / groups,
            Connection::Depthwise => 1,
        }
    }

    /// Shape of the weights, `[out, in, rows, columns]`.
    pub fn weight_shape(&self, in_channels: usize) -> [usize; 4] {
        let [rows, columns] = self.kernel;
        [self.out_channels, self.fan_in(in_channels), rows, columns]
    }
}

impl From<Layer> for Node {
    fn from(layer: Layer) -> Self {
        Self::Layer(layer)
    }
}

/// Which value of a window remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest. Padding is never the largest.
    Max,
    /// The mean, in which padding counts as zeros.
    Mean,
}

/// A pool over square windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Which value remains.
    pub kind: PoolKind,
    /// Rows and columns of the window.
    pub window: usize,
    /// Stride of rows and columns.
    pub stride: usize,
    /// Padding around the input.
    pub padding: PoolPadding,
}

/// How a pool pads its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolPadding {
    /// TensorFlow's SAME.
    Same,
    /// This number of rows and columns on each side.
    Symmetric(usize),
    /// None, but a last window that reaches beyond the input counts (`ceil_mode`).
    Ceil,
}

impl Pool {
    /// A 3x3 pool for the largest value, with stride 2.
    pub(super) const fn max_3x3_stride_2(padding: PoolPadding) -> Self {
        Self {
            kind: PoolKind::Max,
            window: 3,
            stride: 2,
            padding,
        }
    }
}

impl From<Pool> for Node {
    fn from(pool: Pool) -> Self {
        Self::Pool(pool)
    }
}

//! The networks of [`crate::prior_work`] on candle: they compute, and candle's autograd trains them.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{ModuleT, VarBuilder};
use mobilenet_ops::{
    Activation, Conv2d, SeparableConv2d, SeparableConv2dConfig, activate, avg_pool2d,
    global_avg_pool2d, max_pool2d,
};

use crate::error::ModelError;
use crate::prior_work::network::{Connection, Layer, Network, Node, Pool, PoolKind};
use crate::prior_work::{IN_CHANNELS, channels_after};

/// A network of [`crate::prior_work`]. There is no dropout.
#[derive(Debug, Clone)]
pub struct PriorNetwork(Vec<Step>);

/// A [`Node`] with parameters.
#[derive(Debug, Clone)]
enum Step {
    Conv(Conv2d),
    Depthwise(SeparableConv2d),
    Pool(Pool),
    Activation(Activation),
    GlobalMean,
    Concat(Vec<Vec<Step>>),
    Sum(Vec<Vec<Step>>),
}

impl PriorNetwork {
    /// Builds the network. Parameters have the names of [`crate::prior_work::parameters()`].
    ///
    /// # Errors
    /// If a parameter is missing or has another shape, and if the network has groups or local
    /// response normalisation, as AlexNet and GoogLeNet have.
    pub fn new(network: &Network, vb: VarBuilder) -> Result<Self, ModelError> {
        Ok(Self(steps(&network.nodes, IN_CHANNELS, &vb)?))
    }

    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` -> `[B, classes]`.
    ///
    /// # Errors
    /// If the image is too small, or, for networks that do not average the last map (VGG), too
    /// large.
    pub fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor, ModelError> {
        let map = run(&self.0, xs, train)?;
        match *map.dims() {
            [_, _, 1, 1] => Ok(map.squeeze(3)?.squeeze(2)?),
            [_, _, height, width] => Err(ModelError::NotSqueezable { height, width }),
            _ => Err(ModelError::Rank { found: map.rank() }),
        }
    }
}

fn steps(nodes: &[Node], channels: usize, vb: &VarBuilder) -> Result<Vec<Step>, ModelError> {
    let mut channels = channels;
    let mut built = Vec::with_capacity(nodes.len());
    for node in nodes {
        let branches = |branches: &[Vec<Node>]| -> Result<Vec<Vec<Step>>, ModelError> {
            let branches = branches.iter();
            branches.map(|nodes| steps(nodes, channels, vb)).collect()
        };
        built.push(match node {
            Node::Layer(own) => layer(own, channels, vb.pp(&own.name))?,
            Node::Pool(pool) => Step::Pool(*pool),
            Node::Activation(activation) => Step::Activation(*activation),
            Node::GlobalMean => Step::GlobalMean,
            Node::Concat(nodes) => Step::Concat(branches(nodes)?),
            Node::Sum(nodes) => Step::Sum(branches(nodes)?),
            Node::LocalResponse => {
                return Err(ModelError::NotComputed {
                    what: "local response normalisation".to_string(),
                });
            }
        });
        channels = channels_after(std::slice::from_ref(node), channels);
    }
    Ok(built)
}

fn layer(layer: &Layer, in_channels: usize, vb: VarBuilder) -> Result<Step, ModelError> {
    let (normalizer, activation) = (layer.normalizer, layer.activation);
    let geometry = layer.geometry();
    Ok(match layer.connection {
        Connection::Full => Step::Conv(Conv2d::new(
            in_channels,
            layer.out_channels,
            geometry,
            normalizer,
            activation,
            vb,
        )?),
        Connection::Depthwise => Step::Depthwise(SeparableConv2d::new(
            in_channels,
            SeparableConv2dConfig {
                out_channels: None,
                channel_multiplier: 1,
                geometry,
                normalizer,
                activation,
            },
            vb,
        )?),
        Connection::Groups(groups) => {
            return Err(ModelError::NotComputed {
                what: format!("{} in {groups} groups", layer.name),
            });
        }
    })
}

fn run(steps: &[Step], xs: &Tensor, train: bool) -> Result<Tensor, ModelError> {
    let mut xs = xs.clone();
    for step in steps {
        let ends = |branches: &[Vec<Step>]| -> Result<Vec<Tensor>, ModelError> {
            branches
                .iter()
                .map(|steps| run(steps, &xs, train))
                .collect()
        };
        xs = match step {
            Step::Conv(layer) => layer.forward_t(&xs, train)?,
            Step::Depthwise(layer) => layer.forward_t(&xs, train)?,
            Step::Pool(own) => pool(own, &xs)?,
            Step::Activation(activation) => activate(&xs, *activation)?,
            Step::GlobalMean => global_avg_pool2d(&xs)?,
            Step::Concat(branches) => Tensor::cat(&ends(branches)?, 1)?,
            Step::Sum(branches) => sum(&ends(branches)?)?,
        };
    }
    Ok(xs)
}

fn pool(pool: &Pool, xs: &Tensor) -> Result<Tensor, ModelError> {
    let (_, _, height, width) = xs.dims4()?;
    let geometry = pool.geometry(height, width)?;
    match pool.kind {
        PoolKind::Max => Ok(max_pool2d(xs, &geometry)?),
        PoolKind::Mean => {
            let size = geometry.resolve(1, height, width)?;
            let padded = xs
                .pad_with_zeros(2, size.rows.before, size.rows.after())?
                .pad_with_zeros(3, size.columns.before, size.columns.after())?;
            Ok(avg_pool2d(&padded, geometry.kernel, geometry.stride)?)
        }
    }
}

fn sum(tensors: &[Tensor]) -> CandleResult<Tensor> {
    let [first, others @ ..] = tensors else {
        return Err(candle_core::Error::Msg("a sum of no branches".to_string()));
    };
    others
        .iter()
        .try_fold(first.clone(), |sum, other| sum + other)
}

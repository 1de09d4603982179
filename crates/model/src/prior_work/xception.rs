//! Xception (arXiv 1610.02357), with Keras' names; the strided layers beside the blocks, which have
//! counted names there, are `blockN_residual`. Depthwise layers have neither normaliser nor
//! activation.

use mobilenet_kernels::Activation;

use super::network::{Layer, Network, Node, Pool, PoolPadding};

const POOL: Pool = Pool::max_3x3_stride_2(PoolPadding::Same);
const RELU: Node = Node::Activation(Activation::Relu);

pub(super) fn xception() -> Network {
    let first = |number: usize, channels| {
        Layer::new(format!("block1_conv{number}"), channels, [3, 3])
            .valid()
            .batch_norm()
    };
    let mut nodes: Vec<Node> = vec![first(1, 32).stride(2).into(), first(2, 64).into()];
    nodes.push(strided(2, [64, 128, 128]));
    nodes.push(strided(3, [128, 256, 256]));
    nodes.push(strided(4, [256, 728, 728]));
    for block in 5..=12 {
        let layers = (1..=3).flat_map(|number| separable(block, number, [728, 728]));
        nodes.push(Node::Sum(vec![layers.collect(), vec![]]));
    }
    nodes.push(strided(13, [728, 728, 1024]));
    for (number, channels) in [(1, [1024, 1536]), (2, [1536, 2048])] {
        let [_, depthwise, pointwise] = separable(14, number, channels);
        nodes.extend([depthwise, pointwise, RELU]);
    }
    nodes.push(Node::GlobalMean);
    nodes.push(Layer::new("predictions", 1000, [1, 1]).linear().into());
    Network {
        name: "xception",
        resolution: 299,
        nodes,
    }
}

/// Two separable layers and a pool, plus a strided layer of the input.
fn strided(block: usize, channels: [usize; 3]) -> Node {
    let [input, middle, output] = channels;
    let mut layers: Vec<Node> = [(1, [input, middle]), (2, [middle, output])]
        .into_iter()
        .flat_map(|(number, channels)| separable(block, number, channels))
        .collect();
    if block == 2 {
        // The first layer already ends in an activation.
        layers.remove(0);
    }
    layers.push(POOL.into());
    let beside = Layer::new(format!("block{block}_residual"), output, [1, 1])
        .stride(2)
        .batch_norm()
        .linear();
    Node::Sum(vec![layers, vec![beside.into()]])
}

/// ReLU, a depthwise layer, a pointwise layer.
fn separable(block: usize, number: usize, [input, output]: [usize; 2]) -> [Node; 3] {
    let name = format!("block{block}_sepconv{number}");
    let depthwise = Layer::depthwise(format!("{name}.depthwise"), input, [3, 3])
        .without_normalizer()
        .linear();
    let pointwise = Layer::new(format!("{name}.pointwise"), output, [1, 1])
        .batch_norm()
        .linear();
    [RELU, depthwise.into(), pointwise.into()]
}

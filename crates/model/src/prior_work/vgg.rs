//! VGG 16 (arXiv 1409.1556), with torchvision's names.

use super::network::{Layer, Network, Node, Pool, PoolKind, PoolPadding};

const POOL: Pool = Pool {
    kind: PoolKind::Max,
    window: 2,
    stride: 2,
    padding: PoolPadding::Symmetric(0),
};

pub(super) fn vgg16() -> Network {
    let mut nodes: Vec<Node> = Vec::new();
    // torchvision counts convolutions, activations and pools.
    let mut number = 0;
    for (layers, channels) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)] {
        for _ in 0..layers {
            nodes.push(Layer::new(format!("features.{number}"), channels, [3, 3]).into());
            number += 2;
        }
        nodes.push(POOL.into());
        number += 1;
    }
    nodes.push(Layer::new("classifier.0", 4096, [7, 7]).valid().into());
    nodes.push(Layer::new("classifier.3", 4096, [1, 1]).into());
    nodes.push(Layer::new("classifier.6", 1000, [1, 1]).linear().into());
    Network {
        name: "vgg16",
        resolution: 224,
        nodes,
    }
}

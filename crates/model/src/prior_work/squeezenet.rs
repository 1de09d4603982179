//! SqueezeNet (arXiv 1602.07360), 1.0 and 1.1, with torchvision's names. Every layer has a bias and
//! ReLU. The last convolution is not padded; Caffe's original pads it by 1, which multiplies the
//! classifier's cost without changing its parameters.

use mobilenet_kernels::Padding;

use super::network::{Layer, Network, Node, Pool, PoolPadding};

const POOL: Pool = Pool::max_3x3_stride_2(PoolPadding::Ceil);

/// One part of the network: a pool, or a fire module that squeezes to `.0` channels and expands to
/// `.1` by each of two kernels.
enum Part {
    Pool,
    Fire(usize, usize),
}
use Part::{Fire, Pool as P};

pub(super) fn squeezenet1_0() -> Network {
    let parts = [
        P,
        Fire(16, 64),
        Fire(16, 64),
        Fire(32, 128),
        P,
        Fire(32, 128),
        Fire(48, 192),
        Fire(48, 192),
        Fire(64, 256),
        P,
        Fire(64, 256),
    ];
    squeezenet("squeezenet1_0", (96, 7), &parts)
}

pub(super) fn squeezenet1_1() -> Network {
    let parts = [
        P,
        Fire(16, 64),
        Fire(16, 64),
        P,
        Fire(32, 128),
        Fire(32, 128),
        P,
        Fire(48, 192),
        Fire(48, 192),
        Fire(64, 256),
        Fire(64, 256),
    ];
    squeezenet("squeezenet1_1", (64, 3), &parts)
}

fn squeezenet(name: &'static str, (channels, kernel): (usize, usize), parts: &[Part]) -> Network {
    let first = Layer::new("features.0", channels, [kernel; 2]);
    let mut nodes: Vec<Node> = vec![first.stride(2).valid().into()];
    // torchvision counts the ReLU after the first layer.
    for (part, number) in parts.iter().zip(2..) {
        match *part {
            P => nodes.push(POOL.into()),
            Fire(squeezed, expanded) => nodes.extend(fire(number, squeezed, expanded)),
        }
    }
    nodes.push(Layer::new("classifier.1", 1000, [1, 1]).into());
    nodes.push(Node::GlobalMean);
    Network {
        name,
        resolution: 224,
        nodes,
    }
}

fn fire(number: usize, squeezed: usize, expanded: usize) -> [Node; 2] {
    let layer = |part: &str, channels, side| {
        Layer::new(format!("features.{number}.{part}"), channels, [side; 2])
            .padding(Padding::symmetric(side / 2))
    };
    [
        layer("squeeze", squeezed, 1).into(),
        Node::Concat(vec![
            vec![layer("expand1x1", expanded, 1).into()],
            vec![layer("expand3x3", expanded, 3).into()],
        ]),
    ]
}

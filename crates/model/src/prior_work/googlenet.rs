//! GoogLeNet (arXiv 1409.4842, table 1) with Caffe's names, without the two classifiers beside it
//! that only training uses. torchvision's `googlenet` has batch normalisation, and 3x3 in place of
//! 5x5 kernels.

use mobilenet_kernels::Padding;

use super::network::{Layer, Network, Node, Pool, PoolKind, PoolPadding};

const POOL: Node = Node::Pool(Pool::max_3x3_stride_2(PoolPadding::Ceil));

/// Channels of an inception module: 1x1; 1x1 before 3x3, 3x3; 1x1 before 5x5, 5x5; 1x1 after a pool.
type Channels = [usize; 6];

const MODULES_3: [(&str, Channels); 2] = [
    ("3a", [64, 96, 128, 16, 32, 32]),
    ("3b", [128, 128, 192, 32, 96, 64]),
];
const MODULES_4: [(&str, Channels); 5] = [
    ("4a", [192, 96, 208, 16, 48, 64]),
    ("4b", [160, 112, 224, 24, 64, 64]),
    ("4c", [128, 128, 256, 24, 64, 64]),
    ("4d", [112, 144, 288, 32, 64, 64]),
    ("4e", [256, 160, 320, 32, 128, 128]),
];
const MODULES_5: [(&str, Channels); 2] = [
    ("5a", [256, 160, 320, 32, 128, 128]),
    ("5b", [384, 192, 384, 48, 128, 128]),
];

pub(super) fn googlenet() -> Network {
    let first = Layer::new("conv1/7x7_s2", 64, [7, 7])
        .stride(2)
        .padding(Padding::symmetric(3));
    let mut nodes = vec![
        first.into(),
        POOL,
        Node::LocalResponse,
        Layer::new("conv2/3x3_reduce", 64, [1, 1]).into(),
        Layer::new("conv2/3x3", 192, [3, 3]).into(),
        Node::LocalResponse,
        POOL,
    ];
    nodes.extend(MODULES_3.map(inception));
    nodes.push(POOL);
    nodes.extend(MODULES_4.map(inception));
    nodes.push(POOL);
    nodes.extend(MODULES_5.map(inception));
    nodes.push(Node::GlobalMean);
    let last = Layer::new("loss3/classifier", 1000, [1, 1]);
    nodes.push(last.linear().into());
    Network {
        name: "googlenet",
        resolution: 224,
        nodes,
    }
}

fn inception((module, channels): (&str, Channels)) -> Node {
    let layer = |part: &str, channels, side: usize| -> Node {
        Layer::new(format!("inception_{module}/{part}"), channels, [side; 2]).into()
    };
    let pool = Pool {
        kind: PoolKind::Max,
        window: 3,
        stride: 1,
        padding: PoolPadding::Same,
    };
    let [one, before_3, three, before_5, five, after_pool] = channels;
    Node::Concat(vec![
        vec![layer("1x1", one, 1)],
        vec![layer("3x3_reduce", before_3, 1), layer("3x3", three, 3)],
        vec![layer("5x5_reduce", before_5, 1), layer("5x5", five, 5)],
        vec![pool.into(), layer("pool_proj", after_pool, 1)],
    ])
}

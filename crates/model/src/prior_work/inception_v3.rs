//! Inception V3 (arXiv 1512.00567) with torchvision's names, without the classifier beside it that
//! only training uses. Every convolution has batch normalisation and ReLU.

use super::network::{Layer, Network, Node, Pool, PoolKind, PoolPadding};

const POOL: Pool = Pool::max_3x3_stride_2(PoolPadding::Symmetric(0));
const MEAN: Pool = Pool {
    kind: PoolKind::Mean,
    window: 3,
    stride: 1,
    padding: PoolPadding::Symmetric(1),
};

pub(super) fn inception_v3() -> Network {
    let first = |name: &str, channels, side: usize| layer(name, channels, [side; 2]);
    let mut nodes = vec![
        first("Conv2d_1a_3x3", 32, 3).stride(2).valid().into(),
        first("Conv2d_2a_3x3", 32, 3).valid().into(),
        first("Conv2d_2b_3x3", 64, 3).into(),
        POOL.into(),
        first("Conv2d_3b_1x1", 80, 1).into(),
        first("Conv2d_4a_3x3", 192, 3).valid().into(),
        POOL.into(),
    ];
    nodes.extend([("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)].map(maps_of_35));
    nodes.push(to_17("Mixed_6a"));
    let modules = [
        ("Mixed_6b", 128),
        ("Mixed_6c", 160),
        ("Mixed_6d", 160),
        ("Mixed_6e", 192),
    ];
    nodes.extend(modules.map(maps_of_17));
    nodes.push(to_8("Mixed_7a"));
    nodes.extend(["Mixed_7b", "Mixed_7c"].map(maps_of_8));
    nodes.push(Node::GlobalMean);
    nodes.push(Layer::new("fc", 1000, [1, 1]).linear().into());
    Network {
        name: "inception_v3",
        resolution: 299,
        nodes,
    }
}

fn layer(name: &str, channels: usize, kernel: [usize; 2]) -> Layer {
    Layer::new(name, channels, kernel).batch_norm()
}

/// Layers in a row: name after the module's, channels, kernel.
fn chain(module: &str, layers: &[(&str, usize, [usize; 2])]) -> Vec<Node> {
    let nodes = layers.iter().map(|&(part, channels, kernel)| {
        Node::from(layer(&format!("{module}.{part}"), channels, kernel))
    });
    nodes.collect()
}

/// [`chain`], whose last layer halves the map without padding.
fn halving(module: &str, layers: &[(&str, usize, [usize; 2])]) -> Vec<Node> {
    let mut nodes = chain(module, layers);
    if let Some(Node::Layer(last)) = nodes.pop() {
        nodes.push(last.stride(2).valid().into());
    }
    nodes
}

fn after_mean(module: &str, channels: usize) -> Vec<Node> {
    let projection = chain(module, &[("branch_pool", channels, [1, 1])]);
    [vec![MEAN.into()], projection].concat()
}

fn maps_of_35((module, pooled): (&str, usize)) -> Node {
    Node::Concat(vec![
        chain(module, &[("branch1x1", 64, [1, 1])]),
        chain(
            module,
            &[("branch5x5_1", 48, [1, 1]), ("branch5x5_2", 64, [5, 5])],
        ),
        chain(
            module,
            &[
                ("branch3x3dbl_1", 64, [1, 1]),
                ("branch3x3dbl_2", 96, [3, 3]),
                ("branch3x3dbl_3", 96, [3, 3]),
            ],
        ),
        after_mean(module, pooled),
    ])
}

fn to_17(module: &str) -> Node {
    Node::Concat(vec![
        halving(module, &[("branch3x3", 384, [3, 3])]),
        halving(
            module,
            &[
                ("branch3x3dbl_1", 64, [1, 1]),
                ("branch3x3dbl_2", 96, [3, 3]),
                ("branch3x3dbl_3", 96, [3, 3]),
            ],
        ),
        vec![POOL.into()],
    ])
}

fn maps_of_17((module, middle): (&str, usize)) -> Node {
    Node::Concat(vec![
        chain(module, &[("branch1x1", 192, [1, 1])]),
        chain(
            module,
            &[
                ("branch7x7_1", middle, [1, 1]),
                ("branch7x7_2", middle, [1, 7]),
                ("branch7x7_3", 192, [7, 1]),
            ],
        ),
        chain(
            module,
            &[
                ("branch7x7dbl_1", middle, [1, 1]),
                ("branch7x7dbl_2", middle, [7, 1]),
                ("branch7x7dbl_3", middle, [1, 7]),
                ("branch7x7dbl_4", middle, [7, 1]),
                ("branch7x7dbl_5", 192, [1, 7]),
            ],
        ),
        after_mean(module, 192),
    ])
}

fn to_8(module: &str) -> Node {
    Node::Concat(vec![
        halving(
            module,
            &[("branch3x3_1", 192, [1, 1]), ("branch3x3_2", 320, [3, 3])],
        ),
        halving(
            module,
            &[
                ("branch7x7x3_1", 192, [1, 1]),
                ("branch7x7x3_2", 192, [1, 7]),
                ("branch7x7x3_3", 192, [7, 1]),
                ("branch7x7x3_4", 192, [3, 3]),
            ],
        ),
        vec![POOL.into()],
    ])
}

fn maps_of_8(module: &str) -> Node {
    let fork = |part: &str| {
        Node::Concat(vec![
            chain(module, &[(&format!("{part}a"), 384, [1, 3])]),
            chain(module, &[(&format!("{part}b"), 384, [3, 1])]),
        ])
    };
    let mut twice = chain(module, &[("branch3x3_1", 384, [1, 1])]);
    twice.push(fork("branch3x3_2"));
    let mut thrice = chain(
        module,
        &[
            ("branch3x3dbl_1", 448, [1, 1]),
            ("branch3x3dbl_2", 384, [3, 3]),
        ],
    );
    thrice.push(fork("branch3x3dbl_3"));
    Node::Concat(vec![
        chain(module, &[("branch1x1", 320, [1, 1])]),
        twice,
        thrice,
        after_mean(module, 192),
    ])
}

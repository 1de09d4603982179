//! AlexNet (Krizhevsky et al. 2012) with Caffe's names: three of its layers read half of the
//! channels, because each half was on a GPU of its own. torchvision's `alexnet` is a later network
//! without groups.

use mobilenet_kernels::Padding;

use super::network::{Layer, Network, Node, Pool, PoolPadding};

const POOL: Node = Node::Pool(Pool::max_3x3_stride_2(PoolPadding::Symmetric(0)));

pub(super) fn alexnet() -> Network {
    let layer = |name, channels, side: usize| {
        Layer::new(name, channels, [side; 2]).padding(Padding::symmetric(side / 2))
    };
    let nodes = vec![
        Layer::new("conv1", 96, [11, 11]).stride(4).valid().into(),
        Node::LocalResponse,
        POOL,
        layer("conv2", 256, 5).groups(2).into(),
        Node::LocalResponse,
        POOL,
        layer("conv3", 384, 3).into(),
        layer("conv4", 384, 3).groups(2).into(),
        layer("conv5", 256, 3).groups(2).into(),
        POOL,
        Layer::new("fc6", 4096, [6, 6]).valid().into(),
        Layer::new("fc7", 4096, [1, 1]).into(),
        Layer::new("fc8", 1000, [1, 1]).linear().into(),
    ];
    Network {
        name: "alexnet",
        resolution: 227,
        nodes,
    }
}

//! A MobileNet of flattened convolutions (arXiv 1412.5474): each 3x3 convolution from C to N channels
//! of Conv MobileNet becomes two cascades of a convolution over channels, one over rows and one over
//! columns, `C*N + 2*3*N + N*N + 2*3*N` weights instead of `9*C*N`. Every layer has a bias, and only
//! the last of a block has ReLU. The paper of flattened convolutions has no stride; here the first
//! cascade's last layer has it, so that the second computes on the smaller map.

use mobilenet_kernels::Padding;

use super::network::{Layer, Network, Node};
use crate::conv_defs::{ConvDef, MOBILENET_V1_CONV_DEFS};

pub(super) fn flattened_mobilenet() -> Network {
    let mut nodes = Vec::new();
    for (block, row) in MOBILENET_V1_CONV_DEFS.iter().enumerate() {
        let (ConvDef::Conv { stride, depth, .. } | ConvDef::DepthSepConv { stride, depth, .. }) =
            *row;
        nodes.extend(cascade(&format!("block{block}.0"), depth, stride, false));
        nodes.extend(cascade(&format!("block{block}.1"), depth, 1, true));
    }
    nodes.push(Node::GlobalMean);
    nodes.push(Layer::new("logits", 1000, [1, 1]).linear().into());
    Network {
        name: "flattened_mobilenet",
        resolution: crate::config::DEFAULT_IMAGE_SIZE,
        nodes,
    }
}

fn cascade(name: &str, channels: usize, stride: usize, activated: bool) -> [Node; 3] {
    let padding = |rows, columns| Padding::Explicit {
        top: rows,
        bottom: rows,
        left: columns,
        right: columns,
    };
    let over_channels = Layer::new(format!("{name}.channels"), channels, [1, 1]).linear();
    let over_rows = Layer::depthwise(format!("{name}.rows"), channels, [3, 1])
        .padding(padding(1, 0))
        .linear();
    let over_columns = Layer::depthwise(format!("{name}.columns"), channels, [1, 3])
        .padding(padding(0, 1))
        .stride(stride);
    let last = match activated {
        true => over_columns,
        false => over_columns.linear(),
    };
    [over_channels.into(), over_rows.into(), last.into()]
}

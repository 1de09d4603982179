//! The order of an input's axes.

use anyhow::{Result, bail};
use mobilenet::model::ModelError;
use mobilenet::model::array::Array;

use crate::args::ArrayLayout;

/// Permutes the input to `[batch, height, width, channels]` and checks the number of channels.
pub(super) fn to_nhwc(input: Array, layout: ArrayLayout, channels: usize) -> Result<Array> {
    let found = input.shape().len();
    if found != 4 {
        bail!(ModelError::Rank { found });
    }
    let other = match layout {
        ArrayLayout::Nhwc if input.shape()[1] == channels => Some("nchw"),
        ArrayLayout::Nchw if input.shape()[3] == channels => Some("nhwc"),
        _ => None,
    };
    let input = match layout {
        ArrayLayout::Nhwc => input,
        ArrayLayout::Nchw => input.permute(&[0, 2, 3, 1])?,
    };
    if input.shape()[3] != channels {
        let error = ModelError::InputChannels {
            expected: channels,
            found: input.shape()[3],
            shape: input.shape().to_vec(),
        };
        match other {
            Some(layout) => bail!("{error}; --layout {layout} reads the axes in the other order"),
            None => bail!(error),
        }
    }
    Ok(input)
}

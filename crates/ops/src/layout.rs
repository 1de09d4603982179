//! Between candle's `[B, C, H, W]` and the kernels' `[B, H, W, C]`, and between storages and
//! slices.

use candle_core::{CpuStorage, DType, Error, Layout, Result, Tensor};

/// Whether the CPU kernels take this tensor.
pub(crate) fn kernels_take(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == DType::F32
}

/// `[B, C, H, W]` of any strides as contiguous `[B, H, W, C]`; free where it already is one.
pub(crate) fn to_channels_last(xs: &Tensor) -> Result<Tensor> {
    xs.permute((0, 2, 3, 1))?.contiguous()
}

/// `[B, H, W, C]` seen as `[B, C, H, W]`, without a copy.
pub(crate) fn as_channels_first(xs: &Tensor) -> Result<Tensor> {
    xs.permute((0, 3, 1, 2))
}

/// The values of a contiguous f32 CPU storage.
pub(crate) fn slice<'a>(
    what: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or(Error::RequiresContiguous { op: what })?;
    values.get(start..end).ok_or_else(|| {
        Error::Msg(format!(
            "{what}: layout ends at {end}, storage holds {} values",
            values.len()
        ))
    })
}

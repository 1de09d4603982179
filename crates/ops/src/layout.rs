//! Conversions between candle's `[B, C, H, W]` and the kernels' `[B, H, W, C]`, and between
//! tensors, storages and slices.

use candle_core::{CpuStorage, DType, Error, Layout, Result, Storage, Tensor};
use mobilenet_kernels::KernelError;

/// Whether the CPU kernels support this tensor.
pub(crate) fn kernels_take(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == DType::F32
}

/// `[B, C, H, W]` with any strides to contiguous `[B, H, W, C]`. Copies only if it is not yet so.
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

/// Calls `f` with the values of f32 CPU tensors of any strides.
pub(crate) fn read<const N: usize, T>(
    what: &'static str,
    tensors: [&Tensor; N],
    f: impl FnOnce([&[f32]; N]) -> Result<T>,
) -> Result<T> {
    let mut contiguous = Vec::with_capacity(N);
    for tensor in tensors {
        contiguous.push(tensor.contiguous()?);
    }
    let guards: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let mut slices = [&[][..]; N];
    for (values, (storage, layout)) in slices.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            return Err(Error::Msg(format!("{what}: not on the CPU")).bt());
        };
        *values = slice(what, storage, layout)?;
    }
    f(slices)
}

/// Lets a kernel fill in the gradient of an op's argument. `None` if it is not needed.
pub(crate) fn gradient_of(
    argument: &Tensor,
    fill: impl FnOnce(&mut [f32]) -> std::result::Result<(), KernelError>,
) -> Result<Option<Tensor>> {
    if !argument.track_op() {
        return Ok(None);
    }
    let mut values = vec![0.0; argument.elem_count()];
    fill(&mut values).map_err(Error::wrap)?;
    Tensor::from_vec(values, argument.shape(), argument.device()).map(Some)
}

//! Softmax cross-entropy with label smoothing.

use candle_core::{CpuStorage, CustomOp1, DType, Error, Layout, Result, Shape, Tensor};
use mobilenet_kernels::KernelError;
use mobilenet_kernels::backward::cross_entropy::CrossEntropy;

use crate::layout::{gradient_of, kernels_take, read, slice};

/// Mean over a batch of the cross-entropy between labels and the softmax of logits. A share
/// `label_smoothing` of each label is spread over all classes (`tf.losses.softmax_cross_entropy`,
/// PyTorch's `CrossEntropyLoss`).
///
/// # Shapes
/// `logits` `[B, classes]`, `labels` `[B]` of an integer dtype -> a scalar.
///
/// # Errors
/// If the shapes do not fit each other, a label is not a class (on the CPU), or the smoothing is
/// not in `[0, 1]`.
pub fn softmax_cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    label_smoothing: f64,
) -> Result<Tensor> {
    let batch = logits.dims2()?.0;
    if labels.dims() != [batch] || batch == 0 || labels.dtype().is_float() {
        return Err(Error::Msg(format!(
            "softmax_cross_entropy: labels {:?} of {:?} do not fit logits {:?}",
            labels.dims(),
            labels.dtype(),
            logits.dims()
        ))
        .bt());
    }
    if !(0.0..=1.0).contains(&label_smoothing) {
        let found = label_smoothing.to_string();
        return Err(Error::wrap(KernelError::LabelSmoothing { found }));
    }
    if !kernels_take(logits) {
        return crate::fallback::softmax_cross_entropy(logits, labels, label_smoothing);
    }
    let labels = labels.to_dtype(DType::U32)?.contiguous()?;
    let op = SoftmaxCrossEntropyOp {
        labels: labels.to_vec1()?,
        label_smoothing,
    };
    logits.contiguous()?.apply_op1(op)
}

/// Logits `[B, classes]`, output a scalar.
struct SoftmaxCrossEntropyOp {
    labels: Vec<u32>,
    label_smoothing: f64,
}

impl SoftmaxCrossEntropyOp {
    fn of<'a>(
        &'a self,
        logits: &'a [f32],
        classes: usize,
    ) -> std::result::Result<CrossEntropy<'a>, KernelError> {
        CrossEntropy::new(logits, &self.labels, classes, self.label_smoothing)
    }
}

impl CustomOp1 for SoftmaxCrossEntropyOp {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let classes = layout.shape().dims2()?.1;
        let logits = slice("softmax_cross_entropy logits", storage, layout)?;
        let cross_entropy = self.of(logits, classes).map_err(Error::wrap)?;
        Ok((
            CpuStorage::F32(vec![cross_entropy.loss() as f32]),
            ().into(),
        ))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (classes, factor) = (logits.dims2()?.1, gradient.to_scalar::<f32>()?);
        read("softmax_cross_entropy gradient", [logits], |[values]| {
            gradient_of(logits, |to| {
                self.of(values, classes)?.gradient(f64::from(factor), to)
            })
        })
    }
}

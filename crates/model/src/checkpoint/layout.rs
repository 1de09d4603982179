//! Layouts of weights in frameworks, and their conversion to ours, `[out, in, rows, columns]`.

use mobilenet_arrays::Element;

use crate::array::{Array, ShapeError};

/// A layout of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Our layout.
    Same,
    /// `[rows, columns, in, out]`: full and pointwise convolutions in TensorFlow and Keras.
    Hwio,
    /// `[rows, columns, channels, multiplier]`: depthwise convolutions in TensorFlow and Keras.
    /// Ours is `[channels * multiplier, 1, rows, columns]`.
    Hwcm,
    /// `[classes, in]`: a classifier as a linear layer. Ours is `[classes, in, 1, 1]`.
    Linear,
    /// `[in, classes]`: Keras' dense layers, and ONNX's matrix products.
    Dense,
    /// `[out, rows, columns, in]`: TFLite's full and pointwise convolutions.
    Ohwi,
    /// `[1, rows, columns, channels * multiplier]`: TFLite's depthwise convolutions.
    OneHwc,
}

impl Layout {
    /// The shape in this layout of a tensor whose shape in ours is `ours`. `multiplier` is the
    /// depthwise channel multiplier.
    pub(crate) fn source_shape(self, ours: &[usize], multiplier: usize) -> Vec<usize> {
        match (self, ours) {
            (Self::Hwio, &[o, i, h, w]) => vec![h, w, i, o],
            (Self::Hwcm, &[o, _, h, w]) => vec![h, w, o / multiplier.max(1), multiplier],
            (Self::Linear, &[o, i, _, _]) => vec![o, i],
            (Self::Dense, &[o, i, _, _]) => vec![i, o],
            (Self::Ohwi, &[o, i, h, w]) => vec![o, h, w, i],
            (Self::OneHwc, &[o, i, h, w]) => vec![i, h, w, o],
            _ => ours.to_vec(),
        }
    }

    /// The shape in our layout of a tensor whose shape in this layout is `source`.
    pub(crate) fn our_shape(self, source: &[usize]) -> Vec<usize> {
        match (self, source) {
            (Self::Hwio, &[h, w, i, o]) => vec![o, i, h, w],
            (Self::Hwcm, &[h, w, c, m]) => vec![c.saturating_mul(m), 1, h, w],
            (Self::Linear, &[o, i]) => vec![o, i, 1, 1],
            (Self::Dense, &[i, o]) => vec![o, i, 1, 1],
            (Self::Ohwi, &[o, h, w, i]) => vec![o, i, h, w],
            (Self::OneHwc, &[one, h, w, o]) => vec![o, one, h, w],
            _ => source.to_vec(),
        }
    }

    /// Converts a tensor from this layout to ours. Its shape must be `source_shape(ours)`.
    pub(crate) fn to_ours<T: Element>(
        self,
        tensor: Array<T>,
        ours: &[usize],
    ) -> Result<Array<T>, ShapeError> {
        match self {
            Self::Same => Ok(tensor),
            Self::Hwio => tensor.permute(&[3, 2, 0, 1]),
            Self::Hwcm => tensor.permute(&[2, 3, 0, 1])?.reshape(ours),
            Self::Linear => tensor.reshape(ours),
            Self::Dense => tensor.permute(&[1, 0])?.reshape(ours),
            Self::Ohwi => tensor.permute(&[0, 3, 1, 2]),
            Self::OneHwc => tensor.permute(&[3, 0, 1, 2]),
        }
    }

    /// Converts a tensor from our layout to this one: the inverse of [`Layout::to_ours`].
    pub(crate) fn to_source<T: Element>(
        self,
        tensor: Array<T>,
        multiplier: usize,
    ) -> Result<Array<T>, ShapeError> {
        let shape = self.source_shape(tensor.shape(), multiplier);
        match self {
            Self::Same => Ok(tensor),
            Self::Hwio => tensor.permute(&[2, 3, 1, 0]),
            Self::Hwcm => {
                let &[rows, columns, channels, multiplier] = shape.as_slice() else {
                    return tensor.reshape(shape);
                };
                let split = tensor.reshape([channels, multiplier, rows, columns])?;
                split.permute(&[2, 3, 0, 1])
            }
            Self::Linear => tensor.reshape(shape),
            Self::Dense => {
                let flat: Vec<usize> = shape.iter().rev().copied().collect();
                tensor.reshape(flat)?.permute(&[1, 0])
            }
            Self::Ohwi => tensor.permute(&[0, 2, 3, 1]),
            Self::OneHwc => tensor.permute(&[1, 2, 3, 0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor whose values are their own indices in the source layout.
    fn counted(shape: &[usize]) -> Array<usize> {
        let count = shape.iter().product();
        Array::new(shape, (0..count).collect()).unwrap()
    }

    fn at(array: &Array<usize>, index: &[usize]) -> usize {
        let offset = index
            .iter()
            .zip(array.shape())
            .fold(0, |offset, (i, size)| offset * size + i);
        array.values()[offset]
    }

    #[test]
    fn asymmetric_shapes_come_out_in_place() -> Result<(), ShapeError> {
        let ours = [5, 4, 2, 3];
        let source = Layout::Hwio.source_shape(&ours, 1);
        assert_eq!(source, [2, 3, 4, 5]);
        assert_eq!(Layout::Hwio.our_shape(&source), ours);
        let tensor = Layout::Hwio.to_ours(counted(&source), &ours)?;
        assert_eq!(tensor.shape(), ours);
        // [o, i, h, w] = [4, 1, 1, 2] is at index ((h * 3 + w) * 4 + i) * 5 + o.
        let value = at(&tensor, &[4, 1, 1, 2]);
        assert_eq!(value, ((3 + 2) * 4 + 1) * 5 + 4);
        Ok(())
    }

    #[test]
    fn depthwise_channels_come_out_channel_by_channel() -> Result<(), ShapeError> {
        let ours = [8, 1, 2, 3];
        let source = Layout::Hwcm.source_shape(&ours, 2);
        assert_eq!(source, [2, 3, 4, 2]);
        assert_eq!(Layout::Hwcm.our_shape(&source), ours);
        let tensor = Layout::Hwcm.to_ours(counted(&source), &ours)?;
        assert_eq!(tensor.shape(), ours);
        // Output channel 5 is filter 1 of channel 2. Tap [1, 0] is at ((1 * 3) * 4 + 2) * 2 + 1.
        let value = at(&tensor, &[5, 0, 1, 0]);
        assert_eq!(value, (3 * 4 + 2) * 2 + 1);
        Ok(())
    }

    #[test]
    fn what_goes_out_comes_back() -> Result<(), ShapeError> {
        for (layout, ours, multiplier) in [
            (Layout::Same, vec![5, 4, 2, 3], 1),
            (Layout::Hwio, vec![5, 4, 2, 3], 1),
            (Layout::Hwcm, vec![8, 1, 2, 3], 2),
            (Layout::Linear, vec![5, 3, 1, 1], 1),
            (Layout::Dense, vec![5, 3, 1, 1], 1),
            (Layout::Ohwi, vec![5, 4, 2, 3], 1),
            (Layout::OneHwc, vec![8, 1, 2, 3], 2),
        ] {
            let tensor = counted(&ours);
            let out = layout.to_source(tensor.clone(), multiplier)?;
            assert_eq!(out.shape(), layout.source_shape(&ours, multiplier));
            assert_eq!(layout.to_ours(out, &ours)?, tensor, "{layout:?}");
        }
        Ok(())
    }

    #[test]
    fn tflites_channels_come_last() -> Result<(), ShapeError> {
        let ours = [5, 4, 2, 3];
        let source = Layout::Ohwi.source_shape(&ours, 1);
        assert_eq!(source, [5, 2, 3, 4]);
        assert_eq!(Layout::Ohwi.our_shape(&source), ours);
        let tensor = Layout::Ohwi.to_ours(counted(&source), &ours)?;
        // [o, i, h, w] = [4, 1, 1, 2] is at index ((o * 2 + h) * 3 + w) * 4 + i.
        let value = at(&tensor, &[4, 1, 1, 2]);
        assert_eq!(value, ((4 * 2 + 1) * 3 + 2) * 4 + 1);

        let ours = [8, 1, 2, 3];
        let source = Layout::OneHwc.source_shape(&ours, 2);
        assert_eq!(source, [1, 2, 3, 8]);
        assert_eq!(Layout::OneHwc.our_shape(&source), ours);
        let tensor = Layout::OneHwc.to_ours(counted(&source), &ours)?;
        let value = at(&tensor, &[5, 0, 1, 0]);
        assert_eq!(value, 3 * 8 + 5);
        Ok(())
    }

    #[test]
    fn dense_classifiers_are_turned() -> Result<(), ShapeError> {
        let ours = [5, 3, 1, 1];
        assert_eq!(Layout::Dense.source_shape(&ours, 1), [3, 5]);
        assert_eq!(Layout::Dense.our_shape(&[3, 5]), ours);
        let tensor = Layout::Dense.to_ours(counted(&[3, 5]), &ours)?;
        assert_eq!(at(&tensor, &[4, 1, 0, 0]), 9);
        Ok(())
    }

    #[test]
    fn linear_classifiers_become_1x1_kernels() -> Result<(), ShapeError> {
        let ours = [5, 3, 1, 1];
        assert_eq!(Layout::Linear.source_shape(&ours, 1), [5, 3]);
        assert_eq!(Layout::Linear.our_shape(&[5, 3]), ours);
        assert_eq!(
            Layout::Linear.to_ours(counted(&[5, 3]), &ours)?.shape(),
            ours
        );
        Ok(())
    }
}

//! Integer constants of an ONNX graph, and what small operations make of them: PyTorch computes
//! paddings by a dozen nodes where other exporters write a constant.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor};

/// Most numbers of a constant that an operation can need.
const MOST: usize = 32;

/// Small integer tensors by name.
#[derive(Debug, Default)]
pub(super) struct Integers {
    known: HashMap<String, Tensor>,
}

impl Integers {
    /// Keeps a constant, if it is small.
    pub(super) fn insert(&mut self, name: &str, values: Vec<i64>, shape: &[usize]) {
        if values.len() <= MOST
            && let Ok(tensor) = Tensor::from_vec(values, shape, &Device::Cpu)
        {
            self.known.insert(name.to_string(), tensor);
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    pub(super) fn values(&self, name: &str) -> Option<Vec<i64>> {
        values(self.known.get(name)?)
    }

    /// Computes a node, where its inputs are known; whether it was computed. `integers` reads an
    /// attribute.
    pub(super) fn evaluate(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        integers: impl Fn(&str) -> Option<Vec<i64>>,
    ) -> bool {
        let known: Option<Vec<&Tensor>> = inputs.iter().map(|name| self.known.get(*name)).collect();
        let Some(known) = known.filter(|known| !known.is_empty()) else {
            return false;
        };
        match compute(op, &known, integers) {
            Some(Ok(result)) if result.elem_count() <= MOST => {
                self.known.insert(output.to_string(), result);
                true
            }
            _ => false,
        }
    }
}

fn values(tensor: &Tensor) -> Option<Vec<i64>> {
    tensor.flatten_all().and_then(|t| t.to_vec1()).ok()
}

fn compute(
    op: &str,
    inputs: &[&Tensor],
    integers: impl Fn(&str) -> Option<Vec<i64>>,
) -> Option<Result<Tensor>> {
    let axis = || integers("axis").and_then(|axis| axis.first().copied());
    Some(match (op, inputs) {
        ("Cast" | "Identity", &[x]) => Ok(x.clone()),
        ("Shape", &[x]) => {
            let sizes: Vec<i64> = x.dims().iter().map(|&size| size as i64).collect();
            Tensor::new(sizes, &Device::Cpu)
        }
        ("Add", &[a, b]) => elementwise(a, b, i64::checked_add)?,
        ("Sub", &[a, b]) => elementwise(a, b, i64::checked_sub)?,
        ("Mul", &[a, b]) => elementwise(a, b, i64::checked_mul)?,
        ("Concat", parts) if axis().unwrap_or(0) == 0 => Tensor::cat(parts, 0),
        // The value is 0 unless an attribute says otherwise, which no padding does.
        ("ConstantOfShape", &[shape]) => {
            let shape = sizes(&values(shape)?)?;
            Tensor::zeros(shape, candle_core::DType::I64, &Device::Cpu)
        }
        ("Reshape", &[x, shape]) => {
            let mut shape = values(shape)?;
            let mut known = shape.iter().filter(|&&size| size > 0);
            let known = known.try_fold(1i64, |product, &size| product.checked_mul(size))?;
            for size in shape.iter_mut().filter(|size| **size == -1) {
                *size = (x.elem_count() as i64).checked_div(known)?;
            }
            x.reshape(sizes(&shape)?)
        }
        ("Transpose", &[x]) if x.rank() == 2 => x.t().and_then(|x| x.contiguous()),
        ("Unsqueeze", &[x, _]) if x.rank() == 0 => x.reshape(1),
        ("Gather", &[x, index]) if axis().unwrap_or(0) == 0 && x.rank() == 1 => {
            let &[index] = values(index)?.as_slice() else {
                return None;
            };
            let length = x.dims1().ok()? as i64;
            let index = usize::try_from(if index < 0 { index + length } else { index }).ok()?;
            x.get(index)
        }
        ("Slice", &[x, starts, ends, axes, steps]) => {
            let one = |tensor: &Tensor| match values(tensor)?.as_slice() {
                &[value] => Some(value),
                _ => None,
            };
            let axis = usize::try_from(one(axes)?).ok()?;
            let length = i64::try_from(*x.dims().get(axis)?).ok()?;
            let taken = slice(length, one(starts)?, one(ends)?, one(steps)?)?;
            Tensor::new(taken, &Device::Cpu).and_then(|taken| x.index_select(&taken, axis))
        }
        _ => return None,
    })
}

/// Arithmetic of tensors of one shape, or with a single number; candle's own may overflow.
fn elementwise(
    a: &Tensor,
    b: &Tensor,
    operation: fn(i64, i64) -> Option<i64>,
) -> Option<Result<Tensor>> {
    let (left, right) = (values(a)?, values(b)?);
    let shape = if right.len() == 1 {
        a.dims()
    } else if left.len() == 1 || a.dims() == b.dims() {
        b.dims()
    } else {
        return None;
    };
    let pairs = left.iter().cycle().zip(right.iter().cycle());
    let results: Option<Vec<i64>> = pairs
        .take(left.len().max(right.len()))
        .map(|(&left, &right)| operation(left, right))
        .collect();
    Some(Tensor::from_vec(results?, shape, &Device::Cpu))
}

/// Sizes of a small tensor.
fn sizes(values: &[i64]) -> Option<Vec<usize>> {
    let sizes: Option<Vec<usize>> = values.iter().map(|&v| usize::try_from(v).ok()).collect();
    sizes.filter(|sizes| {
        let count = sizes
            .iter()
            .try_fold(1usize, |n, &size| n.checked_mul(size));
        sizes.len() <= 4 && count.is_some_and(|count| count <= MOST)
    })
}

/// Indices that ONNX' Slice takes along an axis.
fn slice(length: i64, start: i64, end: i64, step: i64) -> Option<Vec<u32>> {
    let from_end = |index: i64| {
        if index < 0 {
            index.saturating_add(length)
        } else {
            index
        }
    };
    let (low, high) = if step < 0 {
        (-1, length - 1)
    } else {
        (0, length)
    };
    let mut index = from_end(start).clamp(low, high.max(low));
    let end = from_end(end).clamp(low, length);
    let mut taken = Vec::new();
    while step != 0 && (if step < 0 { index > end } else { index < end }) {
        taken.push(u32::try_from(index).ok()?);
        index = index.checked_add(step)?;
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_does_not_overflow() {
        let numbers = |numbers: &[i64]| Tensor::new(numbers, &Device::Cpu).unwrap();
        let computed = |op: &str, a: &[i64], b: &[i64]| {
            let result = compute(op, &[&numbers(a), &numbers(b)], |_| None)?;
            values(&result.unwrap())
        };
        assert_eq!(computed("Mul", &[3, -4], &[2]), Some(vec![6, -8]));
        assert_eq!(computed("Sub", &[1], &[2, 3]), Some(vec![-1, -2]));
        assert_eq!(computed("Mul", &[i64::MAX], &[2]), None);
        assert_eq!(computed("Add", &[1, 2], &[1, 2, 3]), None);
        let huge = [1 << 62, 1 << 62, -1];
        assert!(compute("Reshape", &[&numbers(&[1]), &numbers(&huge)], |_| None).is_none());
    }

    #[test]
    fn slices_go_both_ways() {
        assert_eq!(slice(4, 1, 3, 1), Some(vec![1, 2]));
        assert_eq!(slice(4, 0, i64::MAX, 2), Some(vec![0, 2]));
        assert_eq!(slice(4, -1, i64::MIN + 1, -1), Some(vec![3, 2, 1, 0]));
        assert_eq!(slice(4, 3, 0, -2), Some(vec![3, 1]));
        assert_eq!(slice(4, 0, 4, 0), Some(vec![]));
        assert_eq!(slice(0, -1, i64::MIN + 1, -1), Some(vec![]));
    }
}

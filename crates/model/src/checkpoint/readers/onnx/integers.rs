//! Small integer constants of an ONNX graph, and the evaluation of nodes that compute on them.
//! PyTorch computes a padding by a dozen nodes, where other exporters write a constant.

use std::collections::HashMap;

use crate::array::{Array, ShapeError};

/// Most values of a constant that is kept.
const MOST: usize = 32;

/// Small integer tensors by name.
#[derive(Debug, Default)]
pub(super) struct Integers {
    known: HashMap<String, Array<i64>>,
}

impl Integers {
    /// Keeps a constant, if it is small.
    pub(super) fn insert(&mut self, name: &str, values: Vec<i64>, shape: &[usize]) {
        if values.len() <= MOST
            && let Ok(tensor) = Array::new(shape, values)
        {
            self.known.insert(name.to_string(), tensor);
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    pub(super) fn values(&self, name: &str) -> Option<Vec<i64>> {
        Some(self.known.get(name)?.values().to_vec())
    }

    /// Computes a node if its inputs are known, and returns whether it did. `integers` reads an
    /// attribute.
    pub(super) fn evaluate(
        &mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        integers: impl Fn(&str) -> Option<Vec<i64>>,
    ) -> bool {
        let known: Option<Vec<&Array<i64>>> =
            inputs.iter().map(|name| self.known.get(*name)).collect();
        let Some(known) = known.filter(|known| !known.is_empty()) else {
            return false;
        };
        match compute(op, &known, integers) {
            Some(Ok(result)) if result.values().len() <= MOST => {
                self.known.insert(output.to_string(), result);
                true
            }
            _ => false,
        }
    }
}

fn compute(
    op: &str,
    inputs: &[&Array<i64>],
    integers: impl Fn(&str) -> Option<Vec<i64>>,
) -> Option<Result<Array<i64>, ShapeError>> {
    let axis = || integers("axis").and_then(|axis| axis.first().copied());
    let list = |values: Vec<i64>| Array::new([values.len()], values);
    Some(match (op, inputs) {
        ("Cast" | "Identity", &[x]) => Ok(x.clone()),
        ("Shape", &[x]) => list(x.shape().iter().map(|&size| size as i64).collect()),
        ("Add", &[a, b]) => elementwise(a, b, i64::checked_add)?,
        ("Sub", &[a, b]) => elementwise(a, b, i64::checked_sub)?,
        ("Mul", &[a, b]) => elementwise(a, b, i64::checked_mul)?,
        ("Concat", parts) if axis().unwrap_or(0) == 0 => concatenate(parts)?,
        // The value is 0 unless an attribute says otherwise. Paddings have no such attribute.
        ("ConstantOfShape", &[shape]) => {
            let shape = sizes(shape.values())?;
            let count = shape.iter().product();
            Array::new(shape, vec![0; count])
        }
        ("Reshape", &[x, shape]) => {
            let mut shape = shape.values().to_vec();
            let mut known = shape.iter().filter(|&&size| size > 0);
            let known = known.try_fold(1i64, |product, &size| product.checked_mul(size))?;
            for size in shape.iter_mut().filter(|size| **size == -1) {
                *size = (x.values().len() as i64).checked_div(known)?;
            }
            x.clone().reshape(sizes(&shape)?)
        }
        ("Transpose", &[x]) if x.shape().len() == 2 => x.permute(&[1, 0]),
        ("Unsqueeze", &[x, _]) if x.shape().is_empty() => x.clone().reshape([1]),
        ("Gather", &[x, index]) if axis().unwrap_or(0) == 0 && x.shape().len() == 1 => {
            let &[index] = index.values() else {
                return None;
            };
            let length = x.values().len() as i64;
            let index = usize::try_from(if index < 0 { index + length } else { index }).ok()?;
            Array::new([], vec![*x.values().get(index)?])
        }
        ("Slice", &[x, starts, ends, axes, steps]) => {
            let one = |tensor: &Array<i64>| match tensor.values() {
                &[value] => Some(value),
                _ => None,
            };
            let axis = usize::try_from(one(axes)?).ok()?;
            let length = i64::try_from(*x.shape().get(axis)?).ok()?;
            let taken = slice(length, one(starts)?, one(ends)?, one(steps)?)?;
            select(x, axis, &taken)?
        }
        _ => return None,
    })
}

/// Concatenates tensors along the first axis.
fn concatenate(parts: &[&Array<i64>]) -> Option<Result<Array<i64>, ShapeError>> {
    let (&length, rest) = parts.first()?.shape().split_first()?;
    let mut shape = vec![length];
    shape.extend(rest);
    for part in &parts[1..] {
        let (&length, others) = part.shape().split_first()?;
        if others != rest {
            return None;
        }
        shape[0] = shape[0].checked_add(length)?;
    }
    let values = parts.iter().flat_map(|part| part.values());
    Some(Array::new(shape, values.copied().collect()))
}

/// The values at some indices of an axis.
fn select(x: &Array<i64>, axis: usize, taken: &[u32]) -> Option<Result<Array<i64>, ShapeError>> {
    let mut shape = x.shape().to_vec();
    let length = std::mem::replace(shape.get_mut(axis)?, taken.len());
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let mut values = Vec::new();
    for o in 0..outer {
        for &index in taken {
            let start = (o * length + index as usize) * inner;
            values.extend(x.values().get(start..start + inner)?);
        }
    }
    Some(Array::new(shape, values))
}

/// Elementwise arithmetic of two tensors of one shape. Either may also be a single value.
fn elementwise(
    a: &Array<i64>,
    b: &Array<i64>,
    operation: fn(i64, i64) -> Option<i64>,
) -> Option<Result<Array<i64>, ShapeError>> {
    let (left, right) = (a.values(), b.values());
    let shape = if right.len() == 1 {
        a.shape()
    } else if left.len() == 1 || a.shape() == b.shape() {
        b.shape()
    } else {
        return None;
    };
    let pairs = left.iter().cycle().zip(right.iter().cycle());
    let results: Option<Vec<i64>> = pairs
        .take(left.len().max(right.len()))
        .map(|(&left, &right)| operation(left, right))
        .collect();
    Some(Array::new(shape, results?))
}

/// A shape, if it is that of a small tensor.
fn sizes(values: &[i64]) -> Option<Vec<usize>> {
    let sizes: Option<Vec<usize>> = values.iter().map(|&v| usize::try_from(v).ok()).collect();
    sizes.filter(|sizes| {
        let count = sizes
            .iter()
            .try_fold(1usize, |n, &size| n.checked_mul(size));
        sizes.len() <= 4 && count.is_some_and(|count| count <= MOST)
    })
}

/// The indices that ONNX's Slice selects on an axis of this `length`.
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
        let numbers = |numbers: &[i64]| Array::new([numbers.len()], numbers.to_vec()).unwrap();
        let computed = |op: &str, a: &[i64], b: &[i64]| {
            let result = compute(op, &[&numbers(a), &numbers(b)], |_| None)?;
            Some(result.unwrap().into_values())
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

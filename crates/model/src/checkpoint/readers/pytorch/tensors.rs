//! Finds the tensors of a pickle, and reads their values from storages.

use std::borrow::Cow;
use std::collections::HashMap;

use super::pickle::{Id, Pickle, Value};
use crate::array::Dtype;
use crate::checkpoint::readers::{
    Budget, NamedTensors, RawTensor, ReadError, from_le_bytes, volume,
};

/// Most levels of dicts inside dicts. Training programs nest state dicts one or two levels deep.
const DEEPEST: usize = 8;

/// More entries of dicts than any checkpoint has. A dict counts once per reference to it.
const MOST_ENTRIES: usize = 1 << 17;

/// Bytes of the storages by key.
pub(super) type Storages<'a> = HashMap<String, Cow<'a, [u8]>>;

/// All tensors below the root, named by their path of dict keys: `state_dict.conv_stem.weight`.
pub(super) fn find<'a>(
    pickle: &'a Pickle,
    budget: &mut Budget,
) -> Result<Vec<(String, Described<'a>)>, ReadError> {
    let mut found = Vec::new();
    let mut entries_left = MOST_ENTRIES;
    let root = pickle.entries(pickle.root());
    let mut stack = vec![(String::new(), root.unwrap_or_default(), 0)];
    while let Some((prefix, entries, depth)) = stack.pop() {
        entries_left = entries_left.checked_sub(entries.len()).ok_or_else(|| {
            ReadError::malformed(
                "pickle",
                format!("more than {MOST_ENTRIES} entries of dicts"),
            )
        })?;
        for &(key, value) in entries {
            let name = match pickle.value(key) {
                Value::Text(text) => format!("{prefix}{text}"),
                Value::Int(number) => format!("{prefix}{number}"),
                _ => continue,
            };
            budget.take("names of tensors", name.len() as u64)?;
            if let Some(tensor) = described(pickle, value) {
                let tensor = tensor.map_err(|problem| ReadError::tensor(&name, problem))?;
                found.push((name, tensor));
            } else if let Some(entries) = pickle.entries(value).filter(|e| !e.is_empty())
                && depth < DEEPEST
            {
                stack.push((format!("{name}."), entries, depth + 1));
            }
        }
    }
    if found.is_empty() {
        let problem = "it holds no dict of tensors";
        return Err(ReadError::malformed("pickle", problem));
    }
    Ok(found)
}

/// Reads the values of the tensors that were found.
pub(super) fn read(
    found: Vec<(String, Described<'_>)>,
    storages: &Storages<'_>,
    budget: &mut Budget,
) -> Result<NamedTensors, ReadError> {
    let mut named = NamedTensors::default();
    for (name, tensor) in found {
        let values = match tensor.dtype {
            None => None,
            Some(dtype) => {
                let storage = storages.get(tensor.storage).ok_or_else(|| {
                    ReadError::tensor(&name, format!("no storage `{}`", tensor.storage))
                })?;
                let gathered = gather(&name, storage, dtype, &tensor, budget)?;
                let shape = &tensor.shape;
                Some(from_le_bytes(&name, &gathered, dtype, shape, budget)?)
            }
        };
        named.insert(name, RawTensor::new(tensor.class, tensor.shape, values))?;
    }
    Ok(named)
}

/// A tensor as the pickle describes it.
pub(super) struct Described<'a> {
    /// Key of the storage.
    pub(super) storage: &'a str,
    /// Class of the storage, for example `FloatStorage`.
    class: &'a str,
    /// `None` for integers.
    pub(super) dtype: Option<Dtype>,
    elements: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// The tensor that a call of `_rebuild_tensor_v2` describes. `None` for other values.
fn described<'a>(pickle: &'a Pickle, value: Id) -> Option<Result<Described<'a>, String>> {
    let (function, arguments) = call(pickle, value)?;
    match function {
        "torch._utils._rebuild_parameter" => {
            // Arguments: tensor, requires_grad, hooks. Parameters are not nested.
            let (function, arguments) = call(pickle, *arguments.first()?)?;
            (function == "torch._utils._rebuild_tensor_v2")
                .then(|| rebuild(pickle, arguments).ok_or_else(|| "a broken description".into()))
        }
        "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
            Some(rebuild(pickle, arguments).ok_or_else(|| "a broken description".into()))
        }
        _ => None,
    }
}

fn call(pickle: &Pickle, value: Id) -> Option<(&str, &[Id])> {
    let Value::Call {
        callable,
        arguments,
        ..
    } = pickle.value(value)
    else {
        return None;
    };
    let Value::Global(function) = pickle.value(*callable) else {
        return None;
    };
    Some((function, pickle.sequence(*arguments)?))
}

/// Class, key and number of elements of a reference to a storage, which is the tuple ("storage",
/// class, key, device, number of elements).
fn storage_of(pickle: &Pickle, value: Id) -> Option<(&str, &str, usize)> {
    let Value::Persistent(storage) = pickle.value(value) else {
        return None;
    };
    let &[_, class, key, _, elements, ..] = pickle.sequence(*storage)? else {
        return None;
    };
    let Value::Global(class) = pickle.value(class) else {
        return None;
    };
    let class = class.rsplit('.').next()?;
    Some((class, pickle.text(key)?, pickle.size(elements)?))
}

/// Bytes per element of each storage to which the pickle refers, if its class is known.
pub(super) fn element_bytes(pickle: &Pickle) -> HashMap<&str, usize> {
    pickle
        .ids()
        .filter_map(|id| storage_of(pickle, id))
        .filter_map(|(class, key, _)| {
            let bytes = match class {
                "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
                "FloatStorage" | "IntStorage" => 4,
                "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
                "ByteStorage" | "CharStorage" | "BoolStorage" => 1,
                _ => return None,
            };
            Some((key, bytes))
        })
        .collect()
}

/// The tensor that the arguments describe: storage, offset, sizes, strides, ...
fn rebuild<'a>(pickle: &'a Pickle, arguments: &[Id]) -> Option<Described<'a>> {
    let &[storage, offset, shape, strides, ..] = arguments else {
        return None;
    };
    let (class, key, elements) = storage_of(pickle, storage)?;
    Some(Described {
        storage: key,
        class,
        dtype: match class {
            "FloatStorage" => Some(Dtype::F32),
            "DoubleStorage" => Some(Dtype::F64),
            "HalfStorage" => Some(Dtype::F16),
            "BFloat16Storage" => Some(Dtype::BF16),
            _ => None,
        },
        elements,
        offset: pickle.size(offset)?,
        shape: pickle.sizes(shape)?,
        strides: pickle.sizes(strides)?,
    })
}

/// Copies a strided tensor to row-major order.
fn gather(
    name: &str,
    storage: &[u8],
    dtype: Dtype,
    tensor: &Described<'_>,
    budget: &mut Budget,
) -> Result<Vec<u8>, ReadError> {
    let error = |problem: String| ReadError::tensor(name, problem);
    let Described {
        shape,
        strides,
        offset,
        elements,
        ..
    } = tensor;
    let width = dtype.bytes();
    let held = storage.len() / width;
    if *elements > held {
        return Err(error(format!(
            "a storage of {elements} elements holds {held}"
        )));
    }
    if shape.len() != strides.len() {
        return Err(error(format!(
            "shape {shape:?} does not go with strides {strides:?}"
        )));
    }
    let count = volume(name, shape)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(*offset, |last, (&size, &stride)| {
            last.checked_add((size - 1).checked_mul(stride)?)
        });
    if last.is_none_or(|last| last >= held) {
        return Err(error(format!(
            "shape {shape:?} with strides {strides:?} at {offset} exceeds its storage of {held}"
        )));
    }
    let bytes = (count as u64).saturating_mul(width as u64);
    budget.take(name, bytes)?;
    let mut gathered = Vec::with_capacity(count * width);
    let mut index = vec![0usize; shape.len()];
    for _ in 0..count {
        let element: usize = index
            .iter()
            .zip(strides)
            .map(|(i, stride)| i * stride)
            .sum();
        let start = (offset + element) * width;
        gathered.extend_from_slice(&storage[start..start + width]);
        for (i, size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
    Ok(gathered)
}

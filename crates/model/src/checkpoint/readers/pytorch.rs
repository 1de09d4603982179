//! `torch.save`'s zip: a pickle `<root>/data.pkl` that describes tensors, and their storages as
//! `<root>/data/<key>`.

use std::collections::HashMap;
use std::io::Cursor;

use candle_core::DType;
use zip::ZipArchive;

use super::pickle::{Id, Pickle, Value};
use super::zip_entry::entry;
use super::{Budget, NamedTensors, RawTensor, from_le_bytes, volume};
use crate::checkpoint::error::ReadError;

/// Keys under which training programs keep the state dict, in order of preference.
const NESTED: [&str; 5] = ["state_dict", "model_state_dict", "model", "module", "net"];

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| ReadError::malformed("zip directory", error))?;
    let root = archive
        .file_names()
        .filter_map(Result::ok)
        .find_map(|name| name.strip_suffix("data.pkl").map(str::to_string))
        .ok_or_else(|| ReadError::malformed("zip directory", "no data.pkl: not PyTorch's"))?;
    let pickle = Pickle::parse(&entry(&mut archive, &format!("{root}data.pkl"), budget)?)?;
    let mut storages = HashMap::new();
    let mut named = NamedTensors::default();
    for &(key, value) in state_dict(&pickle)? {
        let (Some(name), Some(described)) = (pickle.text(key), described(&pickle, value)) else {
            continue;
        };
        let tensor = described.map_err(|problem| ReadError::tensor(name, problem))?;
        let values = match tensor.dtype {
            None => None,
            Some(dtype) => {
                if !storages.contains_key(tensor.storage) {
                    let path = format!("{root}data/{}", tensor.storage);
                    let storage = entry(&mut archive, &path, budget)?;
                    storages.insert(tensor.storage, storage);
                }
                let gathered = gather(name, &storages[tensor.storage], dtype, &tensor, budget)?;
                Some(from_le_bytes(
                    name,
                    &gathered,
                    dtype,
                    &tensor.shape,
                    budget,
                )?)
            }
        };
        let raw = RawTensor {
            dtype: tensor.class.to_string(),
            shape: tensor.shape,
            values,
        };
        named.insert(name.to_string(), raw)?;
    }
    Ok(named)
}

/// The root's entries, or those of the state dict inside it.
fn state_dict(pickle: &Pickle) -> Result<&[(Id, Id)], ReadError> {
    let malformed = || ReadError::malformed("data.pkl", "it holds no dict of tensors");
    let root = pickle.entries(pickle.root()).ok_or_else(malformed)?;
    let nested = NESTED.iter().find_map(|&wanted| {
        let (_, value) = root
            .iter()
            .find(|(key, _)| pickle.text(*key) == Some(wanted))?;
        pickle.entries(*value).filter(|entries| !entries.is_empty())
    });
    Ok(nested.unwrap_or(root))
}

struct Described<'a> {
    storage: &'a str,
    class: &'a str,
    dtype: Option<DType>,
    elements: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// The tensor that a call of `_rebuild_tensor_v2` describes; `None` for other values.
fn described<'a>(pickle: &'a Pickle, value: Id) -> Option<Result<Described<'a>, String>> {
    let (function, arguments) = call(pickle, value)?;
    match function {
        "torch._utils._rebuild_parameter" => {
            // (tensor, requires_grad, hooks); a parameter within a parameter is not a thing.
            let (function, arguments) = call(pickle, *arguments.first()?)?;
            (function == "torch._utils._rebuild_tensor_v2")
                .then(|| rebuild(pickle, arguments).ok_or_else(|| "a broken description".into()))
        }
        "torch._utils._rebuild_tensor_v2" => {
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

/// Arguments (storage, offset, sizes, strides, ...); a storage is ("storage", class, key, device,
/// number of elements).
fn rebuild<'a>(pickle: &'a Pickle, arguments: &[Id]) -> Option<Described<'a>> {
    let &[storage, offset, shape, strides, ..] = arguments else {
        return None;
    };
    let Value::Persistent(storage) = pickle.value(storage) else {
        return None;
    };
    let &[_, class, key, _, elements, ..] = pickle.sequence(*storage)? else {
        return None;
    };
    let Value::Global(class) = pickle.value(class) else {
        return None;
    };
    let class = class.rsplit('.').next()?;
    Some(Described {
        storage: pickle.text(key)?,
        class,
        dtype: match class {
            "FloatStorage" => Some(DType::F32),
            "DoubleStorage" => Some(DType::F64),
            "HalfStorage" => Some(DType::F16),
            "BFloat16Storage" => Some(DType::BF16),
            _ => None,
        },
        elements: pickle.size(elements)?,
        offset: pickle.size(offset)?,
        shape: pickle.sizes(shape)?,
        strides: pickle.sizes(strides)?,
    })
}

/// Bytes of a strided tensor in row-major order.
fn gather(
    name: &str,
    storage: &[u8],
    dtype: DType,
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
    let width = dtype.size_in_bytes();
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

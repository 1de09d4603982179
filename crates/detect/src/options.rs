//! The options of TFLite's operator `TFLite_Detection_PostProcess`: a map in a FlexBuffer.
//!
//! ```text
//! bytes [... keys, map, root value], type of the root, width of the root
//! map   [offset of the keys, width of the keys, length] values, one byte of type for each value
//! ```

use std::collections::BTreeMap;

use crate::coder::BoxCoder;
use crate::error::DetectError;
use crate::post_process::{PostProcess, Suppression};

/// The operator's name in files.
pub const OPERATOR: &str = "TFLite_Detection_PostProcess";

/// Most entries of a map.
const MOST_ENTRIES: usize = 1 << 10;

fn wrong(problem: impl ToString) -> DetectError {
    DetectError::Options {
        operator: OPERATOR,
        problem: problem.to_string(),
    }
}

/// Reads the operator's options. Unknown ones are ignored.
///
/// # Errors
/// If the bytes are no map, an option is missing, or one is outside its range.
pub fn read_options(bytes: &[u8]) -> Result<PostProcess, DetectError> {
    let map = read_map(bytes).ok_or_else(|| wrong("they are no map of numbers"))?;
    let number = |name: &str| {
        let found = map.get(name).copied();
        found.ok_or_else(|| wrong(format!("`{name}` is missing")))
    };
    let count = |name: &str, value: f64| match value >= 0.0 && value <= f64::from(u32::MAX) {
        true => Ok(value as usize),
        false => Err(wrong(format!("`{name}` is {value}"))),
    };
    let required = |name: &str| count(name, number(name)?);
    let regular = map
        .get("use_regular_nms")
        .is_some_and(|&value| value != 0.0);
    let scale = |name: &str| number(name).map(|value| value as f32);
    let post_process = PostProcess {
        classes: required("num_classes")?,
        coder: BoxCoder {
            scales: [
                scale("y_scale")?,
                scale("x_scale")?,
                scale("h_scale")?,
                scale("w_scale")?,
            ],
        },
        suppression: match regular {
            false => Suppression::BestClass {
                classes: required("max_classes_per_detection")?,
            },
            true => Suppression::Regular {
                per_class: match map.get("detections_per_class") {
                    Some(&value) => count("detections_per_class", value)?,
                    None => 100,
                },
            },
        },
        score: number("nms_score_threshold")? as f32,
        overlap: number("nms_iou_threshold")? as f32,
        most: required("max_detections")?,
    };
    post_process.check()?;
    Ok(post_process)
}

/// FlexBuffers' numbers of types.
mod kind {
    pub(super) const INT: u8 = 1;
    pub(super) const UINT: u8 = 2;
    pub(super) const FLOAT: u8 = 3;
    pub(super) const INDIRECT_INT: u8 = 6;
    pub(super) const INDIRECT_UINT: u8 = 7;
    pub(super) const INDIRECT_FLOAT: u8 = 8;
    pub(super) const MAP: u8 = 9;
    pub(super) const BOOL: u8 = 26;
}

/// A map of scalars; entries of other types are left out. `None` where an offset leads out of the
/// bytes.
fn read_map(bytes: &[u8]) -> Option<BTreeMap<String, f64>> {
    let &[.., root_type, root_width] = bytes else {
        return None;
    };
    if root_type >> 2 != kind::MAP {
        return None;
    }
    let root_width = usize::from(root_width);
    let root = bytes.len().checked_sub(2 + root_width)?;
    let map = root.checked_sub(unsigned(bytes, root, root_width)?)?;
    let width = 1 << (root_type & 3);
    let before = |slots: usize| map.checked_sub(slots * width);
    let length = unsigned(bytes, before(1)?, width)?;
    let key_width = unsigned(bytes, before(2)?, width)?;
    let keys = before(3)?;
    let keys = keys.checked_sub(unsigned(bytes, keys, width)?)?;
    if length > MOST_ENTRIES || !matches!(key_width, 1 | 2 | 4 | 8) {
        return None;
    }
    let mut found = BTreeMap::new();
    for index in 0..length {
        let key = keys.checked_add(index * key_width)?;
        let key = key.checked_sub(unsigned(bytes, key, key_width)?)?;
        let text = bytes.get(key..)?.split(|&byte| byte == 0).next()?;
        let entry = *bytes.get(map + length * width + index)?;
        let slot = map + index * width;
        if let Some(value) = scalar(bytes, slot, width, entry) {
            found.insert(String::from_utf8_lossy(text).into_owned(), value);
        }
    }
    Some(found)
}

fn unsigned(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let slot = bytes.get(at..at.checked_add(width)?)?;
    let mut value = [0; 8];
    value.get_mut(..width)?.copy_from_slice(slot);
    usize::try_from(u64::from_le_bytes(value)).ok()
}

/// A value in a slot. `entry` is its type, and the width of what the slot points to.
fn scalar(bytes: &[u8], slot: usize, width: usize, entry: u8) -> Option<f64> {
    let (kind, inner) = (entry >> 2, 1usize << (entry & 3));
    let pointed = || slot.checked_sub(unsigned(bytes, slot, width)?);
    match kind {
        kind::INT => signed(bytes, slot, width),
        kind::UINT | kind::BOOL => unsigned(bytes, slot, width).map(|value| value as f64),
        kind::FLOAT => float(bytes, slot, width),
        kind::INDIRECT_INT => signed(bytes, pointed()?, inner),
        kind::INDIRECT_UINT => unsigned(bytes, pointed()?, inner).map(|value| value as f64),
        kind::INDIRECT_FLOAT => float(bytes, pointed()?, inner),
        _ => None,
    }
}

fn signed(bytes: &[u8], at: usize, width: usize) -> Option<f64> {
    let value = unsigned(bytes, at, width)? as u64;
    let unused = 64 - 8 * width as u32;
    Some(((value << unused) as i64 >> unused) as f64)
}

fn float(bytes: &[u8], at: usize, width: usize) -> Option<f64> {
    let slot = bytes.get(at..at.checked_add(width)?)?;
    match *slot {
        [a, b, c, d] => Some(f32::from_le_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(f64::from_le_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

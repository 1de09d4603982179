//! `torch.save`: a pickle that describes tensors, and storages with their values.
//!
//! Since version 1.6 it is a zip of the pickle `<root>/data.pkl` and the storages
//! `<root>/data/<key>`. Before, all of it was one stream ([`legacy`]).

mod legacy;
mod pickle;
mod tensors;

use std::borrow::Cow;
use std::io::Cursor;

use zip::ZipArchive;

use super::zip_entry::entry;
use super::{Budget, NamedTensors};
use crate::checkpoint::readers::ReadError;
use pickle::Pickle;
use tensors::Storages;

pub(super) use legacy::{looks_like as is_legacy, read as read_legacy};

pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| ReadError::malformed("zip directory", error))?;
    let root = archive
        .file_names()
        .filter_map(Result::ok)
        .find_map(|name| name.strip_suffix("data.pkl").map(str::to_string))
        .ok_or_else(|| ReadError::malformed("zip directory", "no data.pkl: not PyTorch's"))?;
    let pickle = Pickle::parse(&entry(&mut archive, &format!("{root}data.pkl"), budget)?)?;
    let found = tensors::find(&pickle, budget)?;
    let mut storages = Storages::new();
    for (_, tensor) in &found {
        if tensor.dtype.is_some() && !storages.contains_key(tensor.storage) {
            let path = format!("{root}data/{}", tensor.storage);
            let storage = entry(&mut archive, &path, budget)?;
            storages.insert(tensor.storage.to_string(), Cow::Owned(storage));
        }
    }
    tensors::read(found, &storages, budget)
}

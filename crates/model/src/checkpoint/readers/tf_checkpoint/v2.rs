//! V2: `PREFIX.index` is a table of `BundleEntryProto`, and data files hold the values.
//!
//! ```text
//! BundleHeaderProto { int32 num_shards = 1, Endianness endianness = 2, VersionDef version = 3 }
//! BundleEntryProto  { DataType dtype = 1, TensorShapeProto shape = 2, int32 shard_id = 3,
//!                     int64 offset = 4, int64 size = 5, fixed32 crc32c = 6,
//!                     repeated TensorSliceProto slices = 7 }
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use prost::Message;

use super::object_graph;
use super::slices::{Assembly, TensorSlice};
use super::table::{self, masked};
use crate::checkpoint::readers::ReadError;
use crate::checkpoint::readers::tensor_proto::{TensorShape, float_dtype};
use crate::checkpoint::readers::{Budget, NamedTensors, RawTensor, Source, from_le_bytes};
use crate::mapped_file::MappedFile;

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(int32, tag = "1")]
    num_shards: i32,
    #[prost(int32, tag = "2")]
    endianness: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(int32, tag = "1")]
    dtype: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
    #[prost(int32, tag = "3")]
    shard_id: i32,
    #[prost(int64, tag = "4")]
    offset: i64,
    #[prost(int64, tag = "5")]
    size: i64,
    #[prost(fixed32, tag = "6")]
    crc32c: u32,
    #[prost(message, repeated, tag = "7")]
    slices: Vec<TensorSlice>,
}

/// TensorFlow's number for strings.
const DT_STRING: i32 = 7;

/// Part of the keys of an optimiser's variables. Their own names can be misleading.
const SLOT: &str = "/.OPTIMIZER_SLOT/";

/// Most bytes of memory per byte of an encoded entry.
const DECODED: u64 = 32;

pub(super) fn read(source: &Source<'_>, budget: &mut Budget) -> Result<NamedTensors, ReadError> {
    let mut header = Header::default();
    let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
    table::for_each(source.bytes, budget, |key, value, budget| {
        let name = String::from_utf8_lossy(key);
        if key.is_empty() {
            header =
                Header::decode(value).map_err(|error| ReadError::malformed("header", error))?;
            return Ok(());
        }
        budget.take(&name, key.len() as u64 + DECODED * value.len() as u64)?;
        let entry = Entry::decode(value).map_err(|error| ReadError::tensor(name, error))?;
        entries.insert(key.to_vec(), entry);
        Ok(())
    })?;
    if header.endianness != 0 {
        let problem = "values in big-endian order are not supported";
        return Err(ReadError::malformed("header", problem));
    }
    let mut shards = Shards {
        source,
        count: header.num_shards,
        opened: HashMap::new(),
    };
    let full_names = match entries.remove(object_graph::KEY) {
        Some(entry) if entry.dtype == DT_STRING => {
            let bytes = shards.bytes("object graph", &entry, budget)?;
            object_graph::full_names(bytes)?
        }
        _ => HashMap::new(),
    };

    let mut named = NamedTensors::default();
    let mut seen = HashMap::new();
    for (key, entry) in &entries {
        // Keys of slices begin with a zero byte. They are read with their variable.
        if key.first() == Some(&0) {
            continue;
        }
        let key = std::str::from_utf8(key).map_err(|error| ReadError::malformed("a key", error))?;
        let own = full_names.get(key).filter(|_| !key.contains(SLOT));
        let name = match own {
            Some(full_name) => {
                // The same variable can be saved under two paths.
                let content = (entry.shape.clone(), entry.size, entry.crc32c);
                match seen.get(full_name) {
                    Some(before) if *before == content => continue,
                    Some(_) => object_graph::path(key),
                    None => {
                        seen.insert(full_name.clone(), content);
                        full_name
                    }
                }
            }
            None => object_graph::path(key),
        };
        let tensor = read_tensor(name, key, entry, &entries, &mut shards, budget)?;
        named.insert(name.to_string(), tensor)?;
    }
    Ok(named)
}

fn read_tensor(
    name: &str,
    key: &str,
    entry: &Entry,
    entries: &BTreeMap<Vec<u8>, Entry>,
    shards: &mut Shards<'_>,
    budget: &mut Budget,
) -> Result<RawTensor, ReadError> {
    let shape = entry.shape.clone().unwrap_or_default().sizes(name)?;
    let Some(dtype) = float_dtype(entry.dtype) else {
        let dtype = format!("DataType {}", entry.dtype);
        return Ok(RawTensor::new(dtype, shape, None));
    };
    if !entry.slices.is_empty() {
        let mut assembly = Assembly::new(name, dtype, shape, budget)?;
        for slice in &entry.slices {
            let piece = entries
                .get(&slice.key(key))
                .ok_or_else(|| ReadError::tensor(name, format!("the slice {slice} is missing")))?;
            if float_dtype(piece.dtype) != Some(dtype) {
                return Err(ReadError::tensor(name, "a slice of another dtype"));
            }
            assembly.fill(name, slice, shards.checked(name, piece, budget)?)?;
        }
        return assembly.finish(name, budget);
    }
    let bytes = shards.checked(name, entry, budget)?;
    let values = from_le_bytes(name, bytes, dtype, &shape, budget)?;
    Ok(RawTensor::new(format!("{dtype:?}"), shape, Some(values)))
}

/// The data files, each opened when it is first needed.
struct Shards<'a> {
    source: &'a Source<'a>,
    count: i32,
    opened: HashMap<i32, Arc<MappedFile>>,
}

impl Shards<'_> {
    /// The bytes of an entry.
    fn bytes(
        &mut self,
        name: &str,
        entry: &Entry,
        budget: &mut Budget,
    ) -> Result<&[u8], ReadError> {
        let shard = entry.shard_id;
        if !(0..self.count).contains(&shard) {
            let problem = format!("it lies in data file {shard} of {}", self.count);
            return Err(ReadError::tensor(name, problem));
        }
        if !self.opened.contains_key(&shard) {
            let prefix = self.source.name.trim_end_matches(".index");
            let file = format!("{prefix}.data-{shard:05}-of-{:05}", self.count);
            self.opened
                .insert(shard, self.source.sibling(&file, budget)?);
        }
        let data: &[u8] = self.opened.get(&shard).map_or(&[], |file| file);
        let range = usize::try_from(entry.offset)
            .ok()
            .zip(usize::try_from(entry.size).ok())
            .and_then(|(offset, size)| Some(offset..offset.checked_add(size)?));
        range.and_then(|range| data.get(range)).ok_or_else(|| {
            let Entry { offset, size, .. } = entry;
            let problem = format!(
                "{size} bytes at {offset} exceed the data file's {}",
                data.len()
            );
            ReadError::tensor(name, problem)
        })
    }

    /// The bytes of an entry, after a check of their checksum.
    fn checked(
        &mut self,
        name: &str,
        entry: &Entry,
        budget: &mut Budget,
    ) -> Result<&[u8], ReadError> {
        // Many entries may refer to the same bytes, so the budget also bounds the time.
        budget.take(name, entry.size.max(0) as u64)?;
        let bytes = self.bytes(name, entry, budget)?;
        if masked(crc32c::crc32c(bytes)) != entry.crc32c {
            return Err(ReadError::tensor(name, "its checksum (crc32c) is wrong"));
        }
        Ok(bytes)
    }
}

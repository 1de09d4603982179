//! HDF5, as far as h5py writes it by default: groups by symbol tables or compact links, attributes
//! in object headers, contiguous, compact and chunked datasets. Other features (dense groups of
//! `libver="latest"`, external files, references) are errors that name the feature.
//!
//! ```text
//! superblock  -> address of the root object                     file.rs
//! object      -> header messages (may continue elsewhere)       object.rs
//!   group     -> B-tree -> symbol nodes -> names in local heap  group.rs
//!   attribute -> dataspace, datatype, value; text in the global heap  attribute.rs
//!   dataset   -> dataspace, datatype, layout, filters           dataset.rs, chunks.rs
//! ```
//!
//! A hostile file can have cycles of addresses, or refer to the same bytes again and again.
//! Therefore each followed address takes something off the memory budget, which also bounds the
//! time.

mod attribute;
mod chunks;
mod cursor;
mod dataset;
mod datatype;
mod file;
mod group;
mod object;

pub(super) use file::SIGNATURE;
pub(super) use object::Object;

use super::{Budget, ReadError};
use file::File;

/// The root object of a file.
pub(super) fn root<'a>(bytes: &'a [u8], budget: &mut Budget) -> Result<Object<'a>, ReadError> {
    let file = File::open(bytes)?;
    Object::read(&file, file.root, "root", budget)
}

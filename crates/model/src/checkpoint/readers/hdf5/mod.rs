//! HDF5, as far as h5py writes it by default: groups by symbol tables or compact links, attributes
//! in object headers, contiguous, compact and chunked datasets. What is beyond (dense groups of
//! `libver="latest"`, external files, references) is refused by name.
//!
//! ```text
//! superblock -> address of the root object                      file.rs
//! object     -> header messages (may continue elsewhere)        object.rs
//!   group    -> B-tree -> symbol nodes -> names in a local heap  group.rs
//!   attribute-> dataspace, datatype, value; strings in the global heap  attribute.rs
//!   dataset  -> dataspace, datatype, layout, filters             dataset.rs, chunks.rs
//! ```
//!
//! Everything is an address into the file, so a file can send a reader round in circles or make it
//! read the same bytes again and again. So each step costs some of the memory budget, which
//! bounds the work as well.

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

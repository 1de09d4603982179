//! Values of a dataset.

use super::chunks::{Filter, chunked, filters};
use super::cursor::{Cursor, Result, malformed};
use super::datatype::{Datatype, dataspace, datatype};
use super::file::UNDEFINED;
use super::object::{Object, kind};
use crate::checkpoint::readers::{Budget, RawTensor, from_le_bytes, volume};

impl<'a> Object<'a> {
    /// The dataset as a tensor, which has no values if they are not floating point.
    pub(in super::super) fn tensor(&self, budget: &mut Budget) -> Result<RawTensor> {
        let missing = |what: &str| malformed(&self.path, format!("a dataset without its {what}"));
        let message = |kind, what: &str| self.message(kind).ok_or_else(|| missing(what));
        let shape = dataspace(message(kind::DATASPACE, "dataspace")?)?;
        let sized = datatype(message(kind::DATATYPE, "datatype")?)?;
        let dtype = match sized.datatype {
            Datatype::Float(dtype) => dtype,
            other => {
                return Ok(RawTensor::new(format!("{other:?}"), shape, None));
            }
        };
        if self.message(kind::EXTERNAL).is_some() {
            let problem = "its values are in another file, which is not supported";
            return Err(malformed(&self.path, problem));
        }
        let layout = message(kind::LAYOUT, "layout")?;
        let bytes = (volume(&self.path, &shape)? as u64).saturating_mul(sized.size as u64);
        let filters = self.message(kind::FILTERS).map(filters).transpose()?;
        let values = self.values(layout, &shape, sized.size, bytes, filters, budget)?;
        let values = from_le_bytes(&self.path, &values, dtype, &shape, budget)?;
        Ok(RawTensor::new(format!("{dtype:?}"), shape, Some(values)))
    }

    fn values(
        &self,
        layout: &'a [u8],
        shape: &[usize],
        element: usize,
        bytes: u64,
        filters: Option<Vec<Filter>>,
        budget: &mut Budget,
    ) -> Result<std::borrow::Cow<'a, [u8]>> {
        let refuse = |problem: String| malformed(&self.path, problem);
        let place = "HDF5 data layout";
        let mut cursor = Cursor::new(layout, place);
        let (version, class) = (cursor.u8()?, cursor.u8()?);
        if !matches!((version, class), (3, _) | (4, 0 | 1)) {
            let problem = format!("layout {class} of version {version} is not supported");
            return Err(refuse(problem));
        }
        match class {
            // Compact: the values are in the message.
            0 => {
                let size = cursor.u16()?;
                Ok(cursor.take(size.into())?.into())
            }
            // Contiguous.
            1 => {
                let (address, size) = (cursor.u64()?, cursor.u64()?);
                if address == UNDEFINED {
                    return Err(refuse("it was never written".to_string()));
                }
                if size < bytes {
                    return Err(refuse(format!("{size} bytes, expected {bytes}")));
                }
                Ok(self.file.slice(address, bytes, place)?.into())
            }
            // Chunked: address of the B-tree, then the chunk's sizes and the size of an element.
            2 => {
                let rank = cursor.u8()?;
                let address = cursor.u64()?;
                let chunk = (0..rank)
                    .map(|_| Ok(cursor.u32()? as usize))
                    .collect::<Result<Vec<usize>>>()?;
                let filters = filters.unwrap_or_default();
                match chunk.split_last() {
                    Some((&last, chunk)) if last == element && chunk.len() == shape.len() => {
                        budget.take(&self.path, bytes)?;
                        chunked(&self.file, address, shape, chunk, element, &filters, budget)
                            .map(Into::into)
                    }
                    _ => Err(refuse(format!(
                        "chunks of {chunk:?} do not fit the shape {shape:?}"
                    ))),
                }
            }
            other => Err(refuse(format!("layout {other} is not supported"))),
        }
    }
}

//! Members of a group. They are links in the object header, or a B-tree of symbol nodes with the
//! names in a local heap.

use super::cursor::{Cursor, Result, malformed, text};
use super::file::{File, STEP, UNDEFINED};
use super::object::{Object, kind};
use crate::checkpoint::readers::Budget;

/// Far more levels than the tree of any file below a gigabyte has.
const MOST_LEVELS: u8 = 16;

/// Name and address of a member.
type Member<'a> = (&'a str, u64);

impl<'a> Object<'a> {
    /// Names and addresses of the members, in the file's order.
    pub(in super::super) fn members(&self, budget: &mut Budget) -> Result<Vec<Member<'a>>> {
        let mut members = Vec::new();
        if let Some(body) = self.message(kind::SYMBOL_TABLE) {
            let mut cursor = Cursor::new(body, "HDF5 symbol table");
            let (tree, heap) = (cursor.u64()?, cursor.u64()?);
            let names = local_heap(&self.file, heap)?;
            tree_members(&self.file, tree, None, names, &mut members, budget)?;
        }
        for body in self.messages(kind::LINK) {
            budget.take("HDF5 links", 2 * STEP)?;
            members.extend(link(body)?);
        }
        if let Some(body) = self.message(kind::LINK_INFO) {
            let mut cursor = Cursor::new(body, "HDF5 link info");
            let flags = {
                cursor.take(1)?;
                cursor.u8()?
            };
            cursor.take(if flags & 1 != 0 { 8 } else { 0 })?;
            if cursor.u64()? != UNDEFINED {
                let problem = "its members are stored densely (libver=\"latest\"), which is not \
                               supported";
                return Err(malformed(&self.path, problem));
            }
        }
        Ok(members)
    }

    /// The member with this name or path.
    pub(in super::super) fn member(
        &self,
        path: &str,
        budget: &mut Budget,
    ) -> Result<Option<Object<'a>>> {
        let mut found: Option<Object<'a>> = None;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let group = found.as_ref().unwrap_or(self);
            let members = group.members(budget)?;
            let Some(&(_, address)) = members.iter().find(|(other, _)| *other == name) else {
                return Ok(None);
            };
            found = Some(group.at(name, address, budget)?);
        }
        Ok(found)
    }

    /// The member at an address from [`Self::members`].
    pub(in super::super) fn at(
        &self,
        name: &str,
        address: u64,
        budget: &mut Budget,
    ) -> Result<Object<'a>> {
        Object::read(
            &self.file,
            address,
            &format!("{}/{name}", self.path),
            budget,
        )
    }
}

fn local_heap<'a>(file: &File<'a>, address: u64) -> Result<&'a [u8]> {
    let mut cursor = file.at(address, "HDF5 local heap")?;
    cursor.expect(b"HEAP")?;
    cursor.take(4)?;
    let size = cursor.u64()?;
    cursor.take(8)?;
    let data = cursor.u64()?;
    file.slice(data, size, "HDF5 local heap")
}

/// Reads a node, which must have this `level`. The root may have any (`None`).
fn tree_members<'a>(
    file: &File<'a>,
    address: u64,
    level: Option<u8>,
    names: &'a [u8],
    members: &mut Vec<Member<'a>>,
    budget: &mut Budget,
) -> Result<()> {
    let place = "HDF5 group B-tree";
    let mut cursor = file.at(address, place)?;
    cursor.expect(b"TREE")?;
    let (node_type, own_level, used) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
    if node_type != 0 || own_level > MOST_LEVELS || level.is_some_and(|level| level != own_level) {
        return Err(malformed(place, "a node of another kind or level"));
    }
    // Addresses of both siblings, and the key before the first child.
    cursor.take(8 * 3)?;
    for _ in 0..used {
        budget.take(place, STEP)?;
        let child = cursor.u64()?;
        cursor.take(8)?;
        match own_level.checked_sub(1) {
            Some(below) => tree_members(file, child, Some(below), names, members, budget)?,
            None => symbol_node(file, child, names, members, budget)?,
        }
    }
    Ok(())
}

fn symbol_node<'a>(
    file: &File<'a>,
    address: u64,
    names: &'a [u8],
    members: &mut Vec<Member<'a>>,
    budget: &mut Budget,
) -> Result<()> {
    let place = "HDF5 symbol node";
    let mut cursor = file.at(address, place)?;
    cursor.expect(b"SNOD")?;
    cursor.take(2)?;
    let count = cursor.u16()?;
    for _ in 0..count {
        budget.take(place, 2 * STEP)?;
        let (name, header) = (cursor.u64()?, cursor.u64()?);
        cursor.take(24)?;
        let name = usize::try_from(name)
            .ok()
            .and_then(|start| names.get(start..))
            .ok_or_else(|| malformed(place, "a name beyond its heap"))?;
        let name = text(&name[..name.len().min(LONGEST_NAME)], place)?;
        members.push((name, header));
    }
    Ok(())
}

/// Longest name that is read, in bytes.
const LONGEST_NAME: usize = 1024;

/// A hard link. Soft and external links are ignored (`None`).
fn link(body: &[u8]) -> Result<Option<Member<'_>>> {
    let place = "HDF5 link";
    let mut cursor = Cursor::new(body, place);
    if cursor.u8()? != 1 {
        return Err(malformed(place, "unknown version"));
    }
    let flags = cursor.u8()?;
    let kind = if flags & 0x08 != 0 { cursor.u8()? } else { 0 };
    cursor.take(if flags & 0x04 != 0 { 8 } else { 0 })?;
    cursor.take(if flags & 0x10 != 0 { 1 } else { 0 })?;
    let length = match flags & 3 {
        0 => u64::from(cursor.u8()?),
        1 => u64::from(cursor.u16()?),
        2 => u64::from(cursor.u32()?),
        _ => cursor.u64()?,
    };
    let name = text(cursor.take_u64(length)?, place)?;
    if kind != 0 {
        return Ok(None);
    }
    Ok(Some((name, cursor.u64()?)))
}

//! The part of Python's pickle that is needed to read what `torch.save` wrote. Nothing is executed:
//! a call is recorded as the name of the callable and its arguments.
//!
//! All values lie in one arena and refer to each other by index. So a hostile pickle can neither
//! grow exponentially by repetition nor overflow the stack when it is dropped. candle's own reader
//! deeply copies a value for every reference.

use std::collections::HashMap;

use crate::checkpoint::readers::ReadError;

/// More values than any checkpoint has.
const MOST_VALUES: usize = 1 << 20;

/// Index of a value in the arena.
pub(super) type Id = usize;

/// A value. Containers hold indices.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// None, and all values that we never read, such as booleans and floats.
    Nothing,
    Int(i64),
    Text(String),
    /// Tuple or list.
    Sequence(Vec<Id>),
    /// Dict.
    Entries(Vec<(Id, Id)>),
    /// `module.name`.
    Global(String),
    /// `callable(arguments)`, and entries set on the result, as in an `OrderedDict`.
    Call {
        callable: Id,
        arguments: Id,
        entries: Vec<(Id, Id)>,
    },
    /// A reference to something outside the pickle: here a storage.
    Persistent(Id),
}

pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn ids(&self) -> std::ops::Range<Id> {
        0..self.values.len()
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn sequence(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Entries of a dict or an `OrderedDict`.
    pub(super) fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.value(id) {
            Value::Entries(entries) | Value::Call { entries, .. } => Some(entries),
            _ => None,
        }
    }

    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.sequence(id)?
            .iter()
            .map(|&item| self.size(item))
            .collect()
    }

    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.value(id) {
            Value::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        Self::parse_first(bytes).map(|(pickle, _)| pickle)
    }

    /// Parses the first pickle, and returns the bytes after it.
    pub(super) fn parse_first(bytes: &[u8]) -> Result<(Self, &[u8]), ReadError> {
        let mut machine = Machine {
            bytes,
            position: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        loop {
            let start = machine.position;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => {
                    let rest = &bytes[machine.position..];
                    let values = machine.values;
                    return Ok((Self { values, root }, rest));
                }
                Err(problem) => {
                    return Err(ReadError::malformed(
                        format!("pickle, byte {start}"),
                        problem,
                    ));
                }
            }
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

type Parsed<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn take(&mut self, length: u64) -> Parsed<&'a [u8]> {
        let rest = &self.bytes[self.position..];
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or_else(|| format!("{length} bytes wanted, {} left", rest.len()))?;
        self.position += taken.len();
        Ok(taken)
    }

    /// Reads an unsigned little-endian number of up to 8 bytes.
    fn number(&mut self, length: u64) -> Parsed<u64> {
        let bytes = self.take(length)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn line(&mut self) -> Parsed<&'a str> {
        let rest = &self.bytes[self.position..];
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or("a line without end")?;
        self.position += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|error| error.to_string())
    }

    fn push(&mut self, value: Value) -> Parsed<()> {
        if self.values.len() >= MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn push_text(&mut self, length: u64) -> Parsed<()> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        self.push(Value::Text(text.to_string()))
    }

    /// Pops a value, but none below the last mark.
    fn pop(&mut self) -> Parsed<Id> {
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err("the stack is empty".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    /// Pops all values above the last mark.
    fn pop_mark(&mut self) -> Parsed<Vec<Id>> {
        let mark = self.marks.pop().ok_or("no mark")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn top(&self) -> Parsed<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&id) if self.stack.len() > floor => Ok(id),
            _ => Err("the stack is empty".into()),
        }
    }

    fn push_sequence(&mut self, count: usize) -> Parsed<()> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Sequence(items))
    }

    fn push_call(&mut self) -> Parsed<()> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        self.push(Value::Call {
            callable,
            arguments,
            entries: Vec::new(),
        })
    }

    fn set_entries(&mut self, items: &[Id]) -> Parsed<()> {
        let target = self.top()?;
        let (Value::Entries(entries) | Value::Call { entries, .. }) = &mut self.values[target]
        else {
            return Err("entries set on something that is no dict".into());
        };
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err("a key without a value".into());
        };
        entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
        Ok(())
    }

    fn append(&mut self, items: Vec<Id>) -> Parsed<()> {
        let target = self.top()?;
        match &mut self.values[target] {
            Value::Sequence(list) => list.extend(items),
            // A list-like object, whose content is not needed.
            Value::Call { .. } => {}
            _ => return Err("items appended to something that is no list".into()),
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Parsed<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Parsed<()> {
        let id = *self
            .memo
            .get(&key)
            .ok_or_else(|| format!("memo {key} is empty"))?;
        if self.stack.len() >= MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values on the stack"));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Runs one opcode. Returns the root value at the end of the pickle.
    fn step(&mut self) -> Parsed<Option<Id>> {
        let opcode = self.take(1)?[0];
        match opcode {
            // PROTO, FRAME
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            // NONE, NEWTRUE, NEWFALSE
            b'N' | 0x88 | 0x89 => self.push(Value::Nothing)?,
            // BININT, BININT1, BININT2, LONG1, BINFLOAT
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Value::Int(number.into()))?;
            }
            b'K' => {
                let number = self.number(1)? as i64;
                self.push(Value::Int(number))?;
            }
            b'M' => {
                let number = self.number(2)? as i64;
                self.push(Value::Int(number))?;
            }
            0x8a => {
                let length = self.number(1)?;
                if length > 8 {
                    return Err("an integer of more than 8 bytes".into());
                }
                let shift = 64 - 8 * length as u32;
                let number = self.number(length)?;
                // Shifting up and down extends the sign. An empty number is 0.
                let number = number.checked_shl(shift).unwrap_or(0) as i64;
                self.push(Value::Int(number.checked_shr(shift).unwrap_or(0)))?;
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Nothing)?;
            }
            // BINUNICODE and Python 2's BINSTRING
            b'X' | b'T' => {
                let length = self.number(4)?;
                self.push_text(length)?;
            }
            0x8c | b'U' => {
                let length = self.number(1)?;
                self.push_text(length)?;
            }
            0x8d => {
                let length = self.number(8)?;
                self.push_text(length)?;
            }
            // BINBYTES, SHORT_BINBYTES
            b'B' | b'C' => {
                let length = self.number(if opcode == b'B' { 4 } else { 1 })?;
                self.take(length)?;
                self.push(Value::Nothing)?;
            }
            // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
            b')' => self.push(Value::Sequence(Vec::new()))?,
            0x85..=0x87 => self.push_sequence(usize::from(opcode - 0x84))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Sequence(items))?;
            }
            // EMPTY_LIST, APPEND, APPENDS, LIST
            b']' => self.push(Value::Sequence(Vec::new()))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            // EMPTY_DICT, SETITEM, SETITEMS
            b'}' => self.push(Value::Entries(Vec::new()))?,
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set_entries(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_entries(&items)?;
            }
            // EMPTY_SET, ADDITEMS
            0x8f => self.push(Value::Sequence(Vec::new()))?,
            0x90 => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module}.{name}")))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) =
                    (&self.values[module], &self.values[name])
                else {
                    return Err("a global whose name is no text".into());
                };
                let global = Value::Global(format!("{module}.{name}"));
                self.push(global)?;
            }
            // REDUCE, NEWOBJ
            b'R' | 0x81 => self.push_call()?,
            // BUILD sets the state of an object, which is never needed.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => {
                let key = self.number(1)?;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.number(4)?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => {
                let key = self.number(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.number(4)?;
                self.recall(key)?;
            }
            other => return Err(format!("opcode {other:#04x} has no place in a state dict")),
        }
        Ok(None)
    }
}

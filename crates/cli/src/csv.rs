//! Comma-separated values.

use std::borrow::Cow;

/// A field, in quotes where it needs them.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\"")).into();
    }
    text.into()
}

/// The first field of each whole record, and how many bytes these records have. The rest is a record
/// that an interrupted program did not finish.
pub(crate) fn first_fields(text: &[u8]) -> (Vec<String>, usize) {
    let (mut fields, mut whole, mut inside) = (Vec::new(), 0, false);
    for (at, byte) in text.iter().enumerate() {
        inside ^= *byte == b'"';
        if *byte == b'\n' && !inside {
            fields.push(first_field(&text[whole..at]));
            whole = at + 1;
        }
    }
    (fields, whole)
}

fn first_field(record: &[u8]) -> String {
    let mut inside = false;
    let end = record.iter().position(|&byte| {
        inside ^= byte == b'"';
        !inside && (byte == b',' || byte == b'\r')
    });
    let field = &record[..end.unwrap_or(record.len())];
    let field = String::from_utf8_lossy(field);
    match field
        .strip_prefix('"')
        .and_then(|field| field.strip_suffix('"'))
    {
        Some(field) => field.replace("\"\"", "\""),
        None => field.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        assert_eq!(field("Egyptian cat"), "Egyptian cat");
        assert_eq!(
            field("tabby, \"tabby\" cat"),
            "\"tabby, \"\"tabby\"\" cat\""
        );
    }
}

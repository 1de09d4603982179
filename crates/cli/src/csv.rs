//! Comma-separated values.

use std::borrow::Cow;

/// A field, in quotes where it needs them.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\"")).into();
    }
    text.into()
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

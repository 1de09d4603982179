//! Splits Rust text into tokens. Comments and lifetimes are dropped; literals lose their content.

/// Tokens are identifiers, `::`, and single other signs. A string, character or number becomes `"`.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => block_comment(rest),
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                let (token, length) = token(rest, first);
                tokens.extend(token);
                length
            }
        };
        rest = &rest[length..];
    }
    tokens
}

const LITERAL: &str = "\"";

/// The first token (`None` for a lifetime), and the length of its text in bytes.
fn token(text: &str, first: char) -> (Option<&str>, usize) {
    if let Some(length) = string(text) {
        return (Some(LITERAL), length);
    }
    if first == '\'' {
        return match character(text) {
            Some(length) => (Some(LITERAL), length),
            None => (None, 1 + word(&text[1..])),
        };
    }
    if first.is_ascii_digit() {
        return (Some(LITERAL), word(text));
    }
    if is_word(first) {
        let prefix = if text.starts_with("r#") { 2 } else { 0 };
        let length = prefix + word(&text[prefix..]);
        return (Some(&text[prefix..length]), length);
    }
    let length = if text.starts_with("::") {
        2
    } else {
        first.len_utf8()
    };
    (Some(&text[..length]), length)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn word(text: &str) -> usize {
    text.find(|character| !is_word(character))
        .unwrap_or(text.len())
}

/// Length of a block comment. Such comments can nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Length of a string at the beginning of the text: `"`, `b"`, `c"`, `r"`, `br#"` and so on.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix);
        let rest = rest.map(|rest| match prefix.ends_with('r') {
            true => rest.trim_start_matches('#'),
            false => rest,
        });
        rest.is_some_and(|rest| rest.starts_with('"'))
    })?;
    let open = prefix.len() + text[prefix.len()..].find('"')? + 1;
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(open - 1 - prefix.len()));
        let length = text[open..].find(&end);
        return Some(length.map_or(text.len(), |length| open + length + end.len()));
    }
    Some(open + closed(&text[open..], '"'))
}

/// Length of a character or byte at the beginning of the text; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut characters = text[1..].chars();
    let first = characters.next()?;
    let is_literal = first == '\\' || characters.next() == Some('\'');
    is_literal.then(|| 1 + closed(&text[1..], '\''))
}

/// Length up to and including the closing quote.
fn closed(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_is_left() {
        let text = r##"
            //! `use super::a;`
            /* use super::b; /* nested */ use super::c; */
            fn f<'a>(x: &'a str) -> char { let s = "use d; \" e"; x.g(b'\'', '"', 1.5, r#"h " i"#); '\u{41}' }
            use r#type::j; // k
        "##;
        let found = tokens(text).join(" ");
        let expected = "fn f < > ( x : & str ) - > char { let s = \" ; \
                        x . g ( b \" , \" , \" . \" , \" ) ; \" } use type :: j ;";
        assert_eq!(found, expected);
    }
}

//! Text and numbers on the page.

/// Text on one line, escaped for elements and quoted attributes: names of classes and files may
/// contain anything.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 {
            escaped.push(' ');
        }
        for character in word.chars() {
            match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                // HTML forbids the others, and a terminal may obey them.
                _ if character.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
                _ => escaped.push(character),
            }
        }
    }
    escaped
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Six significant digits without trailing zeros: 22.660166999998 is 22.6602, and 4e-5 stays so.
pub(crate) fn rounded(value: f64) -> String {
    let value: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if value == 0.0 || !value.is_finite() || (1e-4..1e7).contains(&value.abs()) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_name_is_markup() {
        assert_eq!(
            escaped("<script>alert('1' + \"2\")</script> &\n\u{1b}[31m red"),
            "&lt;script&gt;alert(&#39;1&#39; + &quot;2&quot;)&lt;/script&gt; &amp; \
             \u{fffd}[31m red"
        );
    }

    #[test]
    fn numbers_have_no_long_tails() {
        for (value, text) in [
            (22.660_166_999_998, "22.6602"),
            (0.1 + 0.2, "0.3"),
            (0.045, "0.045"),
            (4e-5, "4e-5"),
            (-1.5, "-1.5"),
            (0.0, "0"),
            (123_456.7, "123457"),
            (1e30, "1e30"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(rounded(value), text);
        }
    }
}

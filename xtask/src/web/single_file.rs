//! The page in one file that opens from a disk: scripts, styles, modules and weights are inside.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::converted::Converted;
use super::files::models;

/// The page's scripts, each after those that it imports.
const PAGE: [&str; 9] = [
    "answers.js",
    "boxes.js",
    "detect.js",
    "images.js",
    "engine.js",
    "embedded.js",
    "index.js",
    "drawing.js",
    "page.js",
];
/// The worker's.
const WORKER: [&str; 5] = [
    "images.js",
    "engine.js",
    "detect.js",
    "weights.js",
    "worker.js",
];

/// Nothing may be loaded from anywhere.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; \
                      style-src 'unsafe-inline'; img-src blob: data:; media-src blob:; worker-src \
                      blob:; connect-src data:";

/// The whole page.
pub(super) fn page(
    folder: &Path,
    modules: &[(&'static str, Vec<u8>)],
    offered: &[Converted],
) -> Result<String> {
    let read = |name: &str| {
        fs::read_to_string(folder.join(name)).with_context(|| format!("cannot read web/{name}"))
    };
    let bundle = |names: &[&str]| -> Result<String> {
        let mut script = String::new();
        for name in names {
            script.push_str(&without_modules(name, &read(name)?)?);
        }
        Ok(script)
    };
    let mut files = vec![
        data("models.json", &String::from_utf8(models(offered)?)?),
        data("worker.js", &bundle(&WORKER)?),
    ];
    let is_used = |name: &str| {
        let is_of = |converted: &Converted| {
            (converted.precision == "integers") == name.contains("integers")
        };
        // A page from a disk is never one whose workers share memory.
        !name.contains("threads") && offered.iter().any(is_of)
    };
    for (name, bytes) in modules.iter().filter(|(name, _)| is_used(name)) {
        files.push(data(name, &base64(bytes)));
    }
    for converted in offered {
        let name = format!("weights/{}", converted.file());
        files.push(data(&name, &base64(&converted.bytes)));
    }
    let page = read("index.html")?;
    let page = replaced(
        &page,
        "content=\"default-src",
        "\">",
        &format!("content=\"{POLICY}"),
    )?;
    let style = format!("<style>\n{}", read("page.css")?);
    let page = replaced(&page, "<link rel=\"stylesheet\"", ">", &(style + "</style"))?;
    let icon = base64(read("icon.svg")?.as_bytes());
    let icon = format!("<link rel=\"icon\" href=\"data:image/svg+xml;base64,{icon}\"");
    let page = replaced(&page, "<link rel=\"icon\"", ">", &icon)?;
    let script = format!(
        "{}<script type=\"module\">\n{}",
        files.concat(),
        bundle(&PAGE)?
    );
    replaced(&page, "<script type=\"module\"", "</script>", &script)
}

/// Replaces what is from `start` to before `end`.
fn replaced(text: &str, start: &str, end: &str, by: &str) -> Result<String> {
    let missing = || format!("web/index.html has no `{start}`");
    let (before, rest) = text.split_once(start).with_context(missing)?;
    let (_, after) = rest.split_once(end).with_context(missing)?;
    Ok([before, by, end, after].concat())
}

/// A script without imports and exports: all are in one scope.
fn without_modules(name: &str, text: &str) -> Result<String> {
    let mut script = String::new();
    for line in text.lines() {
        if line.starts_with("import ") {
            if !line.ends_with(';') {
                bail!("web/{name}: an import must be on one line: {line}");
            }
            continue;
        }
        script.push_str(line.strip_prefix("export ").unwrap_or(line));
        script.push('\n');
    }
    if script.contains("</script") {
        bail!("web/{name} would end its own element");
    }
    Ok(script)
}

/// An element that holds a file and does nothing.
fn data(name: &str, text: &str) -> String {
    format!("<script type=\"text/plain\" id=\"file:{name}\">{text}</script>\n")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            let is_there = digit <= chunk.len();
            text.push(if is_there {
                DIGITS[index as usize].into()
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, expected) in pairs {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn scripts_lose_imports_and_exports() {
        let text = "import { a } from './a.js';\nexport const b = a;\n  export_ = 1;\n";
        assert_eq!(
            without_modules("x", text).unwrap(),
            "const b = a;\n  export_ = 1;\n"
        );
        assert!(without_modules("x", "import {\n  a } from './a.js';\n").is_err());
        assert!(without_modules("x", "'</script>'").is_err());
    }
}

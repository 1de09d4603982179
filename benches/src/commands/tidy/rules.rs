//! Rules for one file: its length, its first line, its use of `unsafe`, and what its crate must not
//! use.

use super::known;

/// Where `unsafe` is allowed. Clippy checks that every block has a SAFETY comment.
const UNSAFE_ALLOWED: [&str; 9] = [
    "benches/peers/hold/",
    "crates/kernels/src/simd/",
    "crates/kernels/src/inference/",
    "crates/kernels/src/integer/",
    "crates/kernels/src/training/",
    "crates/kernels/src/layer/",
    "crates/arrays/src/mapped_file.rs",
    "crates/distributed/src/under_way.rs",
    "crates/model/tests/plan_allocations.rs",
];

/// Longest file of code, in lines.
const LONGEST: usize = 500;

/// What a crate must not depend on.
const LAYERS: [(&str, &[&str]); 7] = [
    (
        "crates/kernels",
        &["candle", "std::fs", "mobilenet_ops", "mobilenet_model"],
    ),
    (
        "crates/ops",
        &["mobilenet_model", "mobilenet_train", "std::fs"],
    ),
    (
        "crates/model",
        &["mobilenet_train", "mobilenet_hub", "clap"],
    ),
    (
        "crates/detect",
        &["mobilenet_train", "mobilenet_hub", "clap"],
    ),
    ("crates/hub", &["mobilenet_train", "clap"]),
    ("crates/train", &["clap", "candle"]),
    ("crates/web", &["mobilenet_model", "std::fs", "std::thread"]),
];

/// A crate, and a word that its code and comments must not contain: kernels know no network.
const UNSPOKEN: (&str, &str) = ("crates/kernels", "mobilenet");

/// Names that may contain the word: the crate's own, and the variable that users set.
const ALLOWED_NAMES: [&str; 2] = ["mobilenet_kernels", "MOBILENET_ISA"];

/// The problems of a file.
pub(super) fn check(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    // Test files may be longer, because they list facts.
    if lines > LONGEST && !name.contains("/tests/") {
        problems.push(format!("{lines} lines, more than {LONGEST}"));
    }
    if !text.starts_with("//!") {
        problems.push("it does not say what it is (//!)".to_string());
    }
    let code = |line: &&str| !line.trim_start().starts_with("//");
    if !UNSAFE_ALLOWED.iter().any(|folder| name.starts_with(folder)) {
        let keyword = ["unsafe", " {"].concat();
        let found = text
            .lines()
            .filter(code)
            .any(|line| line.contains(&keyword));
        if found {
            problems.push("unsafe outside its places".to_string());
        }
    }
    for (layer, forbidden) in LAYERS {
        // Unit tests may use what the crate must not.
        let own = text.split("#[cfg(test)]").next().unwrap_or(text);
        for word in forbidden.iter().filter(|_| is_in(name, layer)) {
            if own.lines().filter(code).any(|line| line.contains(word)) {
                problems.push(format!("`{word}` has no place in {layer}"));
            }
        }
    }
    let (layer, word) = UNSPOKEN;
    let known = known::MENTIONS.contains(&name);
    match (is_in(name, layer) && mentions(text, word), known) {
        (true, false) => problems.push(format!("`{word}` is not to be mentioned in {layer}")),
        (false, true) => problems.push(format!("does not mention `{word}`: delete the exception")),
        _ => {}
    }
    problems
}

fn is_in(name: &str, layer: &str) -> bool {
    let rest = name.strip_prefix(layer);
    rest.is_some_and(|rest| rest.starts_with("/src/"))
}

/// Whether code or a comment contains the word in any case, outside the allowed names.
fn mentions(text: &str, word: &str) -> bool {
    let text = ALLOWED_NAMES
        .iter()
        .fold(text.to_string(), |text, name| text.replace(name, ""));
    text.to_lowercase().contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_tidy_is_found() {
        let found = |name: &str, text: &str| check(name, text).join("; ");
        assert_eq!(found("crates/ops/src/a.rs", "//! A.\n"), "");
        assert!(found("crates/ops/src/a.rs", "fn a() {}").contains("what it is"));
        let block = format!("//! A.\nfn a() {{ {} {{ }} }}", "unsafe");
        assert!(found("crates/ops/src/a.rs", &block).contains("outside its places"));
        assert_eq!(found("crates/kernels/src/simd/a.rs", &block), "");
        assert!(found("crates/kernels/src/a.rs", "//! A.\nuse candle_core;").contains("no place"));
        assert!(found("xtask/src/a.rs", &"//! A\n".repeat(501)).contains("501 lines"));
    }

    #[test]
    fn kernels_know_no_network_by_name() {
        let found = |text: &str| check("crates/kernels/src/a.rs", text).join("; ");
        assert!(found("//! As in MobileNetV1.\n").contains("not to be mentioned"));
        assert!(found("//! A.\nlet name = \"mobilenet-1\";").contains("not to be mentioned"));
        assert_eq!(
            found("//! `MOBILENET_ISA`, and `use mobilenet_kernels::a`.\n"),
            ""
        );
        let elsewhere = check("crates/model/src/a.rs", "//! MobileNetV1.\n");
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
    }
}

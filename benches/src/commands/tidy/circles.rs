//! Checks that the files of a crate do not import each other in a circle.

use std::collections::BTreeMap;

use super::graph;
use super::imports::imports;

/// A file's path from the project's root, and its text.
type File = (String, String);

/// An accepted import that closes a circle: the importing file, the imported file or whole folder
/// (`a/`), and the reason.
pub(super) type Known = (&'static str, &'static str, &'static str);

/// A problem for each circle among the files of a crate that no known import closes, and for each
/// known import that closes no circle.
pub(super) fn check(files: &[File], known: &[Known]) -> Vec<String> {
    let mut crates: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files {
        if let Some((folder, _)) = file.0.split_once("/src/") {
            crates.entry(folder).or_default().push(file);
        }
    }
    let mut problems = Vec::new();
    let mut stale = known.to_vec();
    for (folder, files) in crates {
        let start = folder.len() + "/src/".len();
        let sources = files.iter().map(|file| (&file.0[start..], file.1.as_str()));
        let imports = imports(&sources.collect::<Vec<_>>());
        let name = |file: usize| files[file].0.as_str();
        let mut others = imports.clone();
        for &(from, to) in &imports {
            let covers = |entry: &&Known| {
                let whole = entry.1.ends_with('/') && name(to).starts_with(entry.1);
                entry.0 == name(from) && (whole || entry.1 == name(to))
            };
            if let Some(entry) = known.iter().find(covers)
                && graph::closes_a_circle(&imports, (from, to))
            {
                others.remove(&(from, to));
                stale.retain(|known| known != entry);
            }
        }
        for circle in graph::circles(&others) {
            let chain: Vec<&str> = circle.iter().map(|&file| name(file)).collect();
            problems.push(format!(
                "files import each other in a circle: {}",
                chain.join(" -> ")
            ));
        }
    }
    let stale = stale.into_iter();
    problems.extend(stale.map(|(from, to, reason)| {
        format!("{from} -> {to} closes no circle: delete the exception ({reason})")
    }));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_printed_but_for_known_ones() {
        let file = |name: &str, text: &str| (format!("crates/k/src/{name}"), text.to_string());
        let mut files = vec![
            file("lib.rs", "mod a; mod b; mod c;"),
            file("a.rs", "use crate::b::B; pub struct A;"),
            file("b.rs", "use crate::c::C; pub struct B;"),
            file("c.rs", "use crate::a::A; pub struct C;"),
        ];
        let found = check(&files, &[]);
        let [circle] = &found[..] else {
            panic!("{found:?}")
        };
        let chain = ["a", "b", "c", "a"].map(|name| format!("crates/k/src/{name}.rs"));
        assert!(circle.ends_with(&chain.join(" -> ")), "{circle}");

        let known = [("crates/k/src/c.rs", "crates/k/src/a.rs", "a reason")];
        assert!(check(&files, &known).is_empty());
        files[1].1 = "pub struct A;".to_string();
        let found = check(&files, &known);
        assert!(
            found.len() == 1 && found[0].contains("delete the exception"),
            "{found:?}"
        );
    }
}

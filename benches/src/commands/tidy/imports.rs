//! Finds which file of a crate imports which. A path is followed to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::{Module, ModulePath, modules};
use super::tokens::tokens;

/// Pairs of file numbers: the first file imports the second.
pub(super) type Imports = BTreeSet<(usize, usize)>;

/// Limit of the renames and re-exports that are followed from one path, because they may form a
/// circle.
const MOST_RENAMES: usize = 16;

/// The imports among a crate's files, given as path below `src/` and text. Code that only tests
/// compile does not count. A name that a module re-exports (`pub use`) is an import of the file
/// that defines it if that file can be found, otherwise of the file that re-exports it.
pub(super) fn imports(files: &[(&str, &str)]) -> Imports {
    let mut source = Crate::default();
    for (file, (name, text)) in files.iter().enumerate() {
        let (path, face) = (module_path(name), is_face(name, files));
        for (path, module) in modules(&tokens(text), path, face) {
            source.modules.insert(path, (file, module));
        }
    }
    source.remove_tests();
    let mut imports = Imports::new();
    for (path, (file, module)) in &source.modules {
        for reference in &module.references {
            if let Some(target) = source.file_of(path, reference)
                && target != *file
            {
                imports.insert((*file, target));
            }
        }
    }
    imports
}

fn module_path(name: &str) -> ModulePath {
    let mut path: ModulePath = stem(name).split('/').map(String::from).collect();
    let last = path.last().map_or("", String::as_str);
    if last == "mod" || ["lib", "main"].contains(&stem(name)) {
        path.pop();
    }
    path
}

/// Whether a file stands for a folder: `lib.rs`, `main.rs`, `a/mod.rs`, or `a.rs` beside `a/`.
fn is_face(name: &str, files: &[(&str, &str)]) -> bool {
    let folder = format!("{}/", stem(name));
    let inside = |(other, _): &(&str, &str)| other.starts_with(&folder);
    module_path(name).len() < name.split('/').count() || files.iter().any(inside)
}

fn stem(name: &str) -> &str {
    name.trim_end_matches(".rs")
}

#[derive(Default)]
struct Crate {
    modules: BTreeMap<ModulePath, (usize, Module)>,
}

impl Crate {
    fn remove_tests(&mut self) {
        let children = |(path, (_, module)): (&ModulePath, &(usize, Module))| {
            let names = module.test_modules.iter();
            let paths = names.map(|name| [path.clone(), vec![name.clone()]].concat());
            paths.collect::<Vec<_>>()
        };
        let tests: Vec<ModulePath> = self.modules.iter().flat_map(children).collect();
        self.modules
            .retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
    }

    /// The file that defines what a path names; `None` if it is not in this crate.
    fn file_of(&self, from: &ModulePath, path: &[String]) -> Option<usize> {
        self.find(from, path, true, MOST_RENAMES)
            .or_else(|| self.deepest(from, path))
    }

    fn find(
        &self,
        from: &ModulePath,
        path: &[String],
        globs: bool,
        renames: usize,
    ) -> Option<usize> {
        let renames = renames.checked_sub(1)?;
        let (mut at, rest) = start(from, path);
        for (index, name) in rest.iter().enumerate() {
            let (file, module) = self.modules.get(&at)?;
            let (child, after) = (
                [at.clone(), vec![name.clone()]].concat(),
                &rest[index + 1..],
            );
            let is_module = self.modules.contains_key(&child);
            if is_module && !after.is_empty() {
                at = child;
                continue;
            }
            if module.items.contains(name) {
                return Some(*file);
            }
            if let Some(alias) = module.aliases.get(name) {
                let path = [alias.as_slice(), after].concat();
                let found = self.find(&at, &path, false, renames);
                if found.is_some() {
                    return found;
                }
            }
            if !is_module {
                let mut paths = module.globs.iter().filter(|_| globs);
                return paths.find_map(|glob| {
                    let path = [glob.as_slice(), &rest[index..]].concat();
                    self.find(&at, &path, false, renames)
                });
            }
            at = child;
        }
        self.modules.get(&at).map(|(file, _)| *file)
    }

    /// The file of the last module on a path that begins at a module of this crate.
    fn deepest(&self, from: &ModulePath, path: &[String]) -> Option<usize> {
        let (mut at, rest) = start(from, path);
        let relative = rest.len() == path.len();
        let mut steps = 0;
        for name in rest {
            let child = [at.clone(), vec![name.clone()]].concat();
            if !self.modules.contains_key(&child) {
                break;
            }
            (at, steps) = (child, steps + 1);
        }
        if relative && steps == 0 {
            return None;
        }
        self.modules.get(&at).map(|(file, _)| *file)
    }
}

/// The module that a path begins at, and the names after `crate`, `self` and `super`.
fn start<'a>(from: &ModulePath, path: &'a [String]) -> (ModulePath, &'a [String]) {
    let mut at = from.clone();
    for (index, name) in path.iter().enumerate() {
        match name.as_str() {
            "crate" if index == 0 => at.clear(),
            "self" if index == 0 => {}
            "super" => {
                at.pop();
            }
            _ => return (at, &path[index..]),
        }
    }
    (at, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The imports as `a.rs -> b.rs`.
    fn found(files: &[(&str, &str)]) -> String {
        let imports = imports(files);
        let name = |file: usize| files[file].0;
        let lines = imports
            .iter()
            .map(|&(from, to)| format!("{} -> {}", name(from), name(to)));
        lines.collect::<Vec<_>>().join(", ")
    }

    /// A crate of three modules around one file.
    fn around(text: &str) -> String {
        found(&[
            (
                "lib.rs",
                "pub mod a; pub mod b; pub mod c; pub use c::Shown as Name;",
            ),
            (
                "a/mod.rs",
                "mod deep; pub use deep::{Deep, f}; pub struct Here; macro_rules! m {}",
            ),
            (
                "a/deep.rs",
                "pub struct Deep; pub fn f() {} pub mod inner { pub const X: u8 = 1; }",
            ),
            ("b.rs", text),
            (
                "c.rs",
                "pub struct Shown; pub use crate::a::Deep as Far; pub enum E { One }",
            ),
        ])
    }

    #[test]
    fn every_form_of_import_is_followed() {
        for (text, expected) in [
            ("use crate::a::Here;", "b.rs -> a/mod.rs"),
            ("use super::a::{self};", "b.rs -> a/mod.rs"),
            (
                "use crate::{a::{Here as H, deep}, c::*};",
                "b.rs -> a/mod.rs, b.rs -> a/deep.rs, b.rs -> c.rs",
            ),
            ("use crate::a::deep::inner::X;", "b.rs -> a/deep.rs"),
            ("use crate::a::Unknown;", "b.rs -> a/mod.rs"),
            ("use rand::Rng; use std::{fs, io::Read};", ""),
            ("use self::own::X; mod own { pub struct X; }", ""),
            ("mod own { use super::super::c::Shown; }", "b.rs -> c.rs"),
        ] {
            let own = around(text)
                .replace(", c.rs -> a/deep.rs", "")
                .replace("c.rs -> a/deep.rs", "");
            assert_eq!(own.trim_end_matches(", "), expected, "{text}");
        }
    }

    #[test]
    fn handed_on_names_are_imports_of_their_file() {
        for (text, expected) in [
            ("use crate::a::Deep;", "b.rs -> a/deep.rs"),
            ("use crate::a::f as g;", "b.rs -> a/deep.rs"),
            ("use crate::Name;", "b.rs -> c.rs"),
            ("use super::c::Far;", "b.rs -> a/deep.rs"),
            ("use super::c::E::One;", "b.rs -> c.rs"),
        ] {
            assert_eq!(
                around(text),
                format!("{expected}, c.rs -> a/deep.rs"),
                "{text}"
            );
        }
    }

    #[test]
    fn paths_in_code_are_imports() {
        for (text, expected) in [
            ("fn g() { super::a::f() }", "b.rs -> a/deep.rs"),
            (
                "fn g() { assert_eq!(crate::c::E::One, x); }",
                "b.rs -> c.rs",
            ),
            (
                "use crate::a; fn g() -> a::Deep {}",
                "b.rs -> a/mod.rs, b.rs -> a/deep.rs",
            ),
            ("fn g() { use crate::c::*; Shown }", "b.rs -> c.rs"),
            (
                "/// [`crate::c::E`]\nfn g() { \"crate::c::E\"; x.c::<u8>() }",
                "",
            ),
        ] {
            let own = around(text).replace("c.rs -> a/deep.rs", "");
            assert_eq!(own.trim_end_matches(", "), expected, "{text}");
        }
    }

    #[test]
    fn a_folders_face_imports_what_it_uses_itself() {
        let child = ("a/deep.rs", "pub struct Deep;");
        let face = |text| found(&[("lib.rs", "mod a;"), ("a/mod.rs", text), child]);
        assert_eq!(face("mod deep; pub use deep::Deep;"), "");
        assert_eq!(face("mod deep; pub(crate) use deep::*;"), "");
        assert_eq!(face("mod deep; use deep::Deep;"), "a/mod.rs -> a/deep.rs");
        assert_eq!(
            face("mod deep; pub use deep::Deep; fn f(_: Deep) {}"),
            "a/mod.rs -> a/deep.rs"
        );
        assert_eq!(
            face("mod deep; fn f() { deep::g() }"),
            "a/mod.rs -> a/deep.rs"
        );
    }

    #[test]
    fn tests_do_not_count() {
        for text in [
            "#[cfg(test)] mod tests { use crate::c::Shown; fn f() { crate::a::f() } }",
            "#[cfg(test)] use crate::c::{Shown, E}; struct B;",
            "#[cfg(test)] fn f(_: [u8; 3]) { crate::a::f() }",
            "#[cfg(all(test, unix))] #[allow(x)] const X: u8 = { crate::c::Y };",
        ] {
            assert_eq!(around(text), "c.rs -> a/deep.rs", "{text}");
        }
        assert!(around("#[cfg(not(test))] use crate::c::E;").contains("b.rs -> c.rs"));
        let files = [
            ("lib.rs", "mod a; #[cfg(test)] mod t;"),
            ("a.rs", "struct A;"),
            ("t.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files), "");
    }
}

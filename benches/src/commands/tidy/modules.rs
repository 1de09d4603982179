//! Parses a file's tokens into modules: what they define, what they import, which paths they use.

use std::collections::{BTreeMap, BTreeSet};

/// Names from the crate's root to a module.
pub(super) type ModulePath = Vec<String>;

/// A path as written in the source.
pub(super) type Path = Vec<String>;

/// A module, inline or in its own file.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// Names of the items defined here.
    pub(super) items: BTreeSet<String>,
    /// Names that `use` imports, with their paths.
    pub(super) aliases: BTreeMap<String, Path>,
    /// Paths of `use path::*`.
    pub(super) globs: Vec<Path>,
    /// Paths that are imported or used, without those that `pub use` only re-exports.
    pub(super) references: BTreeSet<Path>,
    /// Modules in their own files that only tests compile.
    pub(super) test_modules: BTreeSet<String>,
}

/// The modules of a file. With `face`, for a file that stands for a folder (`lib.rs`, `main.rs`,
/// `mod.rs`), a re-export by `pub use` does not count as an import.
pub(super) fn modules(tokens: &[&str], path: ModulePath, face: bool) -> Vec<(ModulePath, Module)> {
    let mut reader = Reader {
        tokens,
        at: 0,
        face,
        modules: Vec::new(),
    };
    reader.module(path);
    reader.modules
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    at: usize,
    face: bool,
    modules: Vec<(ModulePath, Module)>,
}

impl<'a> Reader<'a> {
    fn token(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).copied().unwrap_or("")
    }

    fn before(&self, back: usize) -> &'a str {
        let at = self.at.checked_sub(back);
        at.map_or("", |at| self.tokens[at])
    }

    /// Reads a module up to its closing brace or the end of the file.
    fn module(&mut self, path: ModulePath) {
        let mut module = Module::default();
        let (mut depth, mut public) = (0, false);
        while self.at < self.tokens.len() {
            let was_public = std::mem::take(&mut public);
            match self.token(0) {
                "{" => depth += 1,
                "}" if depth == 0 => break,
                "}" => depth -= 1,
                "#" => {
                    self.attribute(&mut module);
                    continue;
                }
                "pub" => {
                    if self.token(1) == "(" {
                        self.skip_brackets(1);
                    }
                    public = true;
                }
                "mod" if is_name(self.token(1)) && self.token(2) == "{" => {
                    let inner = [path.clone(), vec![self.token(1).to_string()]].concat();
                    self.at += 3;
                    self.module(inner);
                }
                "mod" => self.at += 1,
                "use" if self.token(1) != "<" => {
                    self.at += 1;
                    let handed_on = was_public && self.face;
                    self.use_tree(&mut module, Vec::new(), handed_on);
                    continue;
                }
                word if is_name(word) => {
                    self.word(&mut module, depth);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        self.modules.push((path, module));
    }

    /// Reads a definition, a path, or any other word.
    fn word(&mut self, module: &mut Module, depth: usize) {
        const DEFINITIONS: [&str; 8] = [
            "fn", "struct", "enum", "union", "trait", "type", "const", "static",
        ];
        let word = self.token(0).to_string();
        let (before, after) = (self.before(1), self.token(1));
        let pointer = before == "const" && self.before(2) == "*";
        let rules = before == "!" && self.before(2) == "macro_rules";
        if rules || (DEFINITIONS.contains(&before) && !pointer) {
            if depth == 0 {
                module.items.insert(word);
            }
            self.at += 1;
            return;
        }
        let member = [".", "::"].contains(&before);
        let mut path = vec![word];
        while self.token(1) == "::" && is_name(self.token(2)) {
            path.push(self.token(2).to_string());
            self.at += 2;
        }
        // A lower-case word alone is a variable, unless it is called.
        let named = path.len() > 1
            || path[0].starts_with(char::is_uppercase)
            || ["(", "!"].contains(&after);
        if named && !member {
            module.references.insert(path);
        }
        self.at += 1;
    }

    /// Skips an attribute, and the item after it if only tests compile it.
    fn attribute(&mut self, module: &mut Module) {
        let open = if self.token(1) == "!" { 2 } else { 1 };
        let start = self.at + open;
        self.skip_brackets(open);
        let attribute = &self.tokens[start..self.at];
        self.at += 1;
        let for_tests = attribute.get(1) == Some(&"cfg")
            && attribute.contains(&"test")
            && !attribute.contains(&"not");
        if for_tests && open == 1 {
            self.skip_item(module);
        }
    }

    /// Moves to the bracket that closes the one `ahead` tokens from here.
    fn skip_brackets(&mut self, ahead: usize) {
        self.at += ahead;
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.token(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
            self.at += 1;
        }
    }

    fn skip_item(&mut self, module: &mut Module) {
        let mut until_semicolon = false;
        while self.at < self.tokens.len() {
            match self.token(0) {
                "mod" if self.token(2) == ";" => {
                    module.test_modules.insert(self.token(1).to_string());
                }
                "use" | "const" | "static" | "type" => until_semicolon = self.token(1) != "fn",
                ";" => break,
                "{" if until_semicolon => self.skip_brackets(0),
                "{" => {
                    self.skip_brackets(0);
                    break;
                }
                "(" | "[" => self.skip_brackets(0),
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
    }

    /// Reads one part of a `use`. `prefix` is the path before this part.
    fn use_tree(&mut self, module: &mut Module, mut prefix: Path, handed_on: bool) {
        loop {
            match self.token(0) {
                "{" => {
                    self.at += 1;
                    while !["}", ""].contains(&self.token(0)) {
                        self.use_tree(module, prefix.clone(), handed_on);
                        if self.token(0) != "," {
                            break;
                        }
                        self.at += 1;
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    module.globs.push(prefix.clone());
                    if !handed_on {
                        module.references.insert(prefix);
                    }
                    return;
                }
                "as" => {
                    let name = self.token(1).to_string();
                    self.at += 2;
                    return add(module, name, prefix, handed_on);
                }
                "self" if !prefix.is_empty() => {}
                word if is_name(word) => prefix.push(word.to_string()),
                "::" => {}
                _ => {
                    let name = prefix.last().cloned().unwrap_or_default();
                    return add(module, name, prefix, handed_on);
                }
            }
            self.at += 1;
        }
    }
}

fn add(module: &mut Module, name: String, path: Path, handed_on: bool) {
    if !handed_on {
        module.references.insert(path.clone());
    }
    module.aliases.insert(name, path);
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

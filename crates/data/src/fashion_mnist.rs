//! Fashion-MNIST (Xiao et al., arXiv 1708.07747): 60,000 training and 10,000 test images, grey,
//! 28x28, in ten classes. Read from Debian's package `dataset-fashion-mnist`, or from another
//! folder.

use std::path::{Path, PathBuf};

use super::idx::IdxImages;
use super::{DataError, Splits};

/// Environment variable with the folder of the four files, if it is not Debian's.
pub const FOLDER_VARIABLE: &str = "MOBILENET_FASHION_MNIST";

const DEBIAN_FOLDER: &str = "/usr/share/datasets/fashion-mnist";

/// Classes in the order of their indices.
pub const CLASS_NAMES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// Opens the data set in the folder of [`FOLDER_VARIABLE`], or in that of Debian's package.
///
/// # Errors
/// If it is missing (the message says how to get it), or a file is broken.
pub fn open() -> Result<Splits<IdxImages>, DataError> {
    let folder = std::env::var_os(FOLDER_VARIABLE)
        .map_or_else(|| PathBuf::from(DEBIAN_FOLDER), PathBuf::from);
    open_in(&folder)
}

/// [`open()`] in a given folder.
///
/// # Errors
/// As [`open()`].
pub fn open_in(folder: &Path) -> Result<Splits<IdxImages>, DataError> {
    let names = CLASS_NAMES.map(String::from);
    let part = |part: &str| {
        let images = file(folder, &format!("{part}-images-idx3-ubyte"))?;
        let labels = file(folder, &format!("{part}-labels-idx1-ubyte"))?;
        IdxImages::open(&images, &labels, Some(&names))
    };
    Ok(Splits {
        train: part("train")?,
        test: part("t10k")?,
    })
}

/// The file, or its compressed form.
fn file(folder: &Path, name: &str) -> Result<PathBuf, DataError> {
    [format!("{name}.gz"), name.to_string()]
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| DataError::Missing {
            name: "Fashion-MNIST",
            path: folder.join(name),
            advice: "install Debian's package `dataset-fashion-mnist`, or set \
                     MOBILENET_FASHION_MNIST to a folder with its four files, compressed or not",
        })
}

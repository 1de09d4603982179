//! The supported formats. [`READERS`] has one row for each, and is their only list.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{
    Budget, NamedTensors, ReadError, ReadLimits, Source, graph_def, hdf5, keras, npz, onnx,
    pytorch, safetensors, saved_model, tf_checkpoint, tfjs, tflite,
};

/// A file format, recognised by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// Index of a safetensors checkpoint in several files.
    SafetensorsIndex,
    /// Frozen TensorFlow graph.
    GraphDef,
    /// TensorFlow's SavedModel.
    SavedModel,
    /// TensorFlow checkpoint, V1 or V2.
    TensorFlowCheckpoint,
    /// TensorFlow.js' `model.json`.
    TensorFlowJs,
    /// The zip of `torch.save`.
    PyTorch,
    /// The format of `torch.save` before version 1.6.
    PyTorchLegacy,
    /// NumPy's zip of arrays.
    Npz,
    /// Keras' HDF5 file of a whole model or of weights.
    KerasH5,
    /// Keras 3's zip.
    Keras,
    /// ONNX.
    Onnx,
    /// TFLite, float or quantised.
    Tflite,
}

struct Reader {
    format: Format,
    /// Its name on the command line.
    word: &'static str,
    /// Its name in messages.
    name: &'static str,
    recognises: fn(&[u8]) -> bool,
    read: fn(&Source<'_>, &mut Budget) -> Result<NamedTensors, ReadError>,
}

/// In the order in which they are tried. Formats that are recognised by little come last.
const READERS: [Reader; 13] = [
    Reader {
        format: Format::Safetensors,
        word: "safetensors",
        name: "safetensors",
        recognises: safetensors::looks_like,
        read: |source, budget| safetensors::read(source.bytes, source.file, budget),
    },
    Reader {
        format: Format::Npz,
        word: "npz",
        name: "NumPy npz",
        recognises: npz::looks_like,
        read: |source, budget| npz::read(source.bytes, budget),
    },
    Reader {
        format: Format::Keras,
        word: "keras",
        name: "Keras zip",
        recognises: keras::looks_like_zip,
        read: |source, budget| keras::read_zip(source.bytes, budget),
    },
    Reader {
        format: Format::PyTorch,
        word: "pytorch",
        name: "PyTorch zip",
        recognises: |bytes| bytes.starts_with(b"PK\x03\x04"),
        read: |source, budget| pytorch::read(source.bytes, budget),
    },
    Reader {
        format: Format::KerasH5,
        word: "keras-h5",
        name: "Keras HDF5",
        recognises: |bytes| bytes.starts_with(hdf5::SIGNATURE),
        read: |source, budget| keras::read_h5(source.bytes, budget),
    },
    Reader {
        format: Format::Tflite,
        word: "tflite",
        name: "TFLite",
        recognises: tflite::looks_like,
        read: |source, budget| tflite::read(source.bytes, budget),
    },
    Reader {
        format: Format::PyTorchLegacy,
        word: "pytorch-legacy",
        name: "PyTorch pickle",
        recognises: pytorch::is_legacy,
        read: |source, budget| pytorch::read_legacy(source.bytes, budget),
    },
    Reader {
        format: Format::TensorFlowCheckpoint,
        word: "checkpoint",
        name: "TensorFlow checkpoint",
        recognises: tf_checkpoint::looks_like,
        read: tf_checkpoint::read,
    },
    Reader {
        format: Format::SafetensorsIndex,
        word: "safetensors-index",
        name: "safetensors index",
        recognises: safetensors::is_index,
        read: safetensors::read_index,
    },
    Reader {
        format: Format::TensorFlowJs,
        word: "tfjs",
        name: "TensorFlow.js model",
        recognises: tfjs::looks_like,
        read: tfjs::read,
    },
    Reader {
        format: Format::SavedModel,
        word: "saved-model",
        name: "TensorFlow SavedModel",
        recognises: saved_model::looks_like,
        read: saved_model::read,
    },
    Reader {
        format: Format::GraphDef,
        word: "graph-def",
        name: "TensorFlow GraphDef",
        recognises: graph_def::looks_like,
        read: |source, budget| graph_def::read(source.bytes, budget),
    },
    Reader {
        format: Format::Onnx,
        word: "onnx",
        name: "ONNX",
        recognises: onnx::looks_like,
        read: |source, budget| onnx::read(source.bytes, budget),
    },
];

impl Format {
    /// All formats.
    pub const ALL: [Self; READERS.len()] = {
        let mut all = [Self::Safetensors; READERS.len()];
        let mut row = 0;
        while row < all.len() {
            all[row] = READERS[row].format;
            row += 1;
        }
        all
    };

    /// Recognises a format by the file's content. The file name is not used.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let reader = READERS.iter().find(|reader| (reader.recognises)(bytes));
        reader.map(|reader| reader.format)
    }

    /// The format's name on the command line, which [`str::parse`] accepts: `keras-h5`.
    pub fn word(self) -> &'static str {
        self.reader().map_or("", |reader| reader.word)
    }

    /// Reads all tensors of a checkpoint in one file. Formats of several files need
    /// [`Format::read_from`].
    ///
    /// # Errors
    /// If the bytes break the format's rules or exceed the limits.
    pub fn read(self, bytes: &[u8], limits: ReadLimits) -> Result<NamedTensors, ReadError> {
        let source = Source {
            name: "file",
            bytes,
            file: None,
            folder: &BTreeMap::new(),
        };
        self.read_from(&source, limits)
    }

    /// Reads all tensors of a file and of the files that belong to it.
    ///
    /// # Errors
    /// If the bytes break the format's rules or exceed the limits, or a file is missing.
    pub fn read_from(
        self,
        source: &Source<'_>,
        limits: ReadLimits,
    ) -> Result<NamedTensors, ReadError> {
        let mut budget = Budget::new(limits);
        budget.opened(source.bytes.len() as u64);
        match self.reader() {
            Some(reader) => (reader.read)(source, &mut budget),
            None => Err(ReadError::malformed(source.name, "no reader of its format")),
        }
    }

    /// The format's row. A test checks that every format has one.
    fn reader(self) -> Option<&'static Reader> {
        const { &READERS }
            .iter()
            .find(|reader| reader.format == self)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reader().map_or("", |reader| reader.name))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let format = Self::ALL.into_iter().find(|format| format.word() == word);
        format.ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            format!("no format `{word}`; there are {words}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_one_row() {
        // `Tflite` is the last variant, so this fails when a variant is added after it.
        assert_eq!(Format::ALL.len(), Format::Tflite as usize + 1);
        for format in Format::ALL {
            assert_eq!(format.word().parse(), Ok(format));
            let rows = READERS.iter().filter(|reader| reader.format == format);
            assert_eq!(rows.count(), 1, "{format}");
        }
        assert!("h5".parse::<Format>().unwrap_err().contains("keras-h5"));
    }
}

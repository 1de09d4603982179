//! Hostile HDF5, Keras, ONNX and TFLite files. They give a typed error or a checkpoint, never a
//! panic or a hang, and use no more memory than the limit.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::Archive;
use mobilenet_model::checkpoint::{Format, ReadError, ReadLimits, load};

const FILES: [(&str, &str, Format); 8] = [
    ("keras_files.zip", "tiny.h5", Format::KerasH5),
    ("keras_files.zip", "tiny.weights.h5", Format::KerasH5),
    ("keras_files.zip", "compressed_weights.h5", Format::KerasH5),
    ("keras_files.zip", "transfer.keras", Format::Keras),
    ("onnx_files.zip", "hugging_face.onnx", Format::Onnx),
    ("onnx_files.zip", "timm_dynamo.onnx", Format::Onnx),
    ("tflite_files.zip", "float16.tflite", Format::Tflite),
    ("tflite_files.zip", "int8.tflite", Format::Tflite),
];

/// Longest time for reading a file. A whole file takes milliseconds.
const LIMIT: Duration = Duration::from_secs(1);

fn read(format: Format, bytes: &[u8]) -> Result<(), ReadError> {
    let start = Instant::now();
    let result = format.read(bytes, ReadLimits::default()).map(drop);
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    result
}

fn error(format: Format, bytes: &[u8]) -> String {
    read(format, bytes).unwrap_err().to_string()
}

/// The random generator splitmix64, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

#[test]
fn formats_are_recognised_by_content() {
    for (archive, name, format) in FILES {
        let bytes = Archive::open(archive).read(name);
        assert_eq!(Format::detect(&bytes), Some(format), "{name}");
        // So is half of it, and the error says what is missing. The end of a zip lists its files.
        if format != Format::Keras {
            let half = &bytes[..bytes.len() / 2];
            assert_eq!(Format::detect(half), Some(format), "half of {name}");
        }
    }
}

#[test]
fn truncations_do_not_panic() {
    for (archive, name, format) in FILES {
        let bytes = Archive::open(archive).read(name);
        for end in (0..bytes.len()).filter(|end| end % 4099 == 0 || *end < 64) {
            drop(read(format, &bytes[..end]));
        }
        for part in [0, 1, 2] {
            assert!(
                read(format, &bytes[..bytes.len() * part / 3]).is_err(),
                "{name}"
            );
        }
    }
}

/// Changes bits, bytes and words, and copies pieces.
#[test]
fn mutations_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutated");
    let mut loaded = 0;
    for (archive, name, format) in FILES {
        let original = Archive::open(archive).read(name);
        let mut random = Random(7);
        for round in 0..250 {
            let mut bytes = original.clone();
            for _ in 0..=random.below(4) {
                let index = random.below(bytes.len() - 8);
                match random.below(4) {
                    0 => bytes[index] ^= 1 << random.below(8),
                    1 => bytes[index] = random.below(256) as u8,
                    2 => bytes[index..index + 8].fill([0, 0xff][random.below(2)]),
                    _ => {
                        let from = random.below(bytes.len() - 8);
                        bytes.copy_within(from..from + 8, index);
                    }
                }
            }
            drop(read(format, &bytes));
            if round % 10 == 0 {
                std::fs::write(&path, &bytes).unwrap();
                loaded += usize::from(load(&path, ReadLimits::default()).is_ok());
            }
        }
    }
    // Changes of values or of unused bytes leave a checkpoint that can be loaded.
    assert!(loaded > 0);
}

/// A superblock of version 2 whose root object is at offset 48.
fn hdf5(root: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89HDF\r\n\x1a\n".to_vec();
    bytes.extend([2, 8, 8, 0]);
    for word in [0, u64::MAX, 1 << 20, 48] {
        bytes.extend(u64::to_le_bytes(word));
    }
    bytes.extend([0; 4]);
    bytes.extend(root);
    bytes
}

/// An object header of version 1 with one message.
fn object(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1, 0, 1, 0, 1, 0, 0, 0];
    bytes.extend((8 + body.len() as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(kind.to_le_bytes());
    bytes.extend((body.len() as u16).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn hdf5_lies() {
    let error = |bytes: &[u8]| error(Format::KerasH5, bytes);
    assert!(error(b"").contains("superblock"));
    let mut future = hdf5(&[]);
    future[8] = 9;
    assert!(error(&future).contains("unknown version 9"));
    let mut narrow = hdf5(&[]);
    narrow[9] = 4;
    assert!(error(&narrow).contains("only 8 are supported"));
    assert!(error(&hdf5(&[])).contains("object header"));
    // A continuation that points to its own message.
    let circle = hdf5(&object(0x10, &words(&[48 + 16, 24])));
    assert!(error(&circle).contains("do not end"));
    let beyond = hdf5(&object(0x10, &words(&[1 << 40, 24])));
    assert!(error(&beyond).contains("beyond the file"));

    // A group whose tree contains itself as the only child. The reader notices the wrong level.
    let heap = 48 + 40;
    let tree = heap + 40;
    let mut group = object(0x11, &words(&[tree, heap]));
    group.extend(b"HEAP\0\0\0\0");
    group.extend(words(&[8, 0, heap + 32, 0]));
    let header = |level: u8| [b'T', b'R', b'E', b'E', 0, level, 1, 0];
    let mut circle = group.clone();
    circle.extend(header(1));
    circle.extend(words(&[0, 0, 0, tree, 0]));
    assert!(error(&hdf5(&circle)).contains("another kind or level"));
    // A tree of 16 levels. Each level has 1000 times the same child, so there are 1000^16 paths to
    // follow. The reader refuses it.
    let mut wide = group;
    for level in (0..=16u8).rev() {
        let next = tree + u64::from(17 - level) * (8 + 24 + 16_000);
        wide.extend([b'T', b'R', b'E', b'E', 0, level, 0xe8, 3]);
        wide.extend(words(&[0, 0, 0]));
        wide.extend(words(&[next, 0].repeat(1000)));
    }
    wide.extend(b"SNOD\x01\0\0\0");
    assert!(error(&hdf5(&wide)).contains("more than"));
}

#[test]
fn a_dataset_larger_than_its_file_is_refused() {
    // The dataset `vars/0` has 2^40 values in one chunk. The chunk is never read.
    let mut bytes = Archive::open("keras_files.zip").read("compressed_weights.h5");
    let dataspace: Vec<u8> = [
        [1, 4, 1, 0, 0, 0, 0, 0],
        3u64.to_le_bytes(),
        3u64.to_le_bytes(),
    ]
    .concat();
    let at = bytes
        .windows(dataspace.len())
        .position(|window| window == dataspace)
        .unwrap();
    bytes[at + 8..at + 16].copy_from_slice(&(1u64 << 40).to_le_bytes());
    assert!(error(Format::KerasH5, &bytes).contains("more than"));
}

/// A protobuf field of bytes.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut message = vec![tag << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend(bytes);
    message
}

fn onnx(graph: &[Vec<u8>]) -> Vec<u8> {
    let input = field(11, &field(1, b"pixels"));
    [vec![8, 8], field(7, &[graph.concat(), input].concat())].concat()
}

#[test]
fn onnx_lies() {
    let error = |graph: &[Vec<u8>]| error(Format::Onnx, &onnx(graph));
    let tensor = |rest: &[u8]| field(5, &[&[8, 2, 16, 1], &*field(8, b"weights"), rest].concat());
    // The field is `data_location = EXTERNAL`.
    assert!(error(&[tensor(&[14 << 3, 1])]).contains("`weights`: its values are in another file"));
    assert!(error(&[tensor(&field(9, &[0; 12]))]).contains("does not fit its 12 bytes"));
    let good = tensor(&field(9, &[0; 8]));
    assert!(error(&[good.clone(), good]).contains("appears twice"));
    let node = |op: &[u8]| {
        field(
            1,
            &[field(1, b"pixels"), field(2, b"y"), field(4, op)].concat(),
        )
    };
    assert!(error(&[node(b"Conv")]).contains("node `y`: Conv without its input 1"));
    assert!(error(&[node(b"Pad")]).contains("computed"));
    // A million empty nodes of two bytes each would fill the memory.
    assert!(error(&vec![vec![0x0a, 0]; 1 << 20]).contains("more than"));
}

#[test]
fn what_is_no_mobilenet_is_told_by_its_operation() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let conv = [
        field(1, b"pixels"),
        field(1, b"w"),
        field(2, b"a"),
        field(3, b"first"),
        field(4, b"Conv"),
    ];
    let shortcut = |input: &[u8], output: &[u8]| {
        let node = [field(1, input), field(2, output), field(4, b"Relu")];
        field(1, &node.concat())
    };
    let weights = [
        [8u8, 1].repeat(4),
        vec![16, 1],
        field(8, b"w"),
        field(9, &[0; 4]),
    ];
    let graph = [
        field(5, &weights.concat()),
        field(1, &conv.concat()),
        shortcut(b"a", b"b"),
        shortcut(b"a", b"c"),
    ];
    file.write_all(&onnx(&graph)).unwrap();
    let error = load(file.path(), ReadLimits::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`a` goes to 2 operations (b, c): MobileNetV1 is a chain"),
        "{error}"
    );
}

#[test]
fn tflite_lies() {
    let error = |bytes: &[u8]| error(Format::Tflite, bytes);
    assert!(error(b"").contains("no root"));
    assert!(error(b"\xff\xff\xff\x7fTFL3").contains("no buffers"));
    assert!(error(&[8, 0, 0, 0, b'T', b'F', b'L', b'3', 0, 0, 0, 0]).contains("no buffers"));
}

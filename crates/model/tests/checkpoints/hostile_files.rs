//! Hostile files. Each reader gets its own, and every format gets truncations and flipped bits at
//! many offsets. The result is a typed error that names the place, or a checkpoint, never a panic.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::golden;
use mobilenet_model::checkpoint::{CheckpointError, Format, ReadError, ReadLimits, load};
use zip::write::SimpleFileOptions;

fn read(format: Format, bytes: &[u8]) -> Result<(), ReadError> {
    format.read(bytes, ReadLimits::default()).map(drop)
}

fn assert_error(format: Format, bytes: &[u8], expected: &str) {
    let start = Instant::now();
    let error = read(format, bytes).unwrap_err().to_string();
    assert!(
        error.contains(expected),
        "expected `{expected}` in: {error}"
    );
    assert!(start.elapsed() < Duration::from_secs(1));
}

const FILES: [(&str, Format); 5] = [
    ("hugging_face_tiny/model.safetensors", Format::Safetensors),
    ("timm_tiny.pth", Format::PyTorch),
    ("hugging_face_tiny.bin", Format::PyTorch),
    ("slim_tiny.pb", Format::GraphDef),
    ("slim_tiny_fused.pb", Format::GraphDef),
];

#[test]
fn every_truncation_is_an_error() {
    for (name, format) in FILES {
        let bytes = std::fs::read(golden(name)).unwrap();
        assert_eq!(Format::detect(&bytes), Some(format), "{name}");
        let ends = (0..bytes.len()).filter(|end| end % 97 == 0 || *end < 300);
        for end in ends {
            // A graph that is cut between two nodes is still a graph. Loading finds what is
            // missing.
            let result = read(format, &bytes[..end]);
            assert!(
                result.is_err() || format == Format::GraphDef,
                "{name} cut at {end}"
            );
        }
    }
}

#[test]
fn a_truncated_file_does_not_load() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _) in FILES {
        let bytes = std::fs::read(golden(name)).unwrap();
        for part in [0, 1, 2, 3] {
            let path = folder.path().join(format!("cut-{part}"));
            std::fs::write(&path, &bytes[..bytes.len() * part / 4]).unwrap();
            let error = load(&path, ReadLimits::default()).unwrap_err().to_string();
            assert!(error.contains("cut-"), "{name}: {error}");
        }
    }
}

#[test]
fn flipped_bits_do_not_panic() {
    for (name, format) in FILES {
        let mut bytes = std::fs::read(golden(name)).unwrap();
        let positions: Vec<usize> = (0..bytes.len())
            .filter(|i| i % 61 == 0 || *i < 400 || *i + 400 > bytes.len())
            .collect();
        for index in positions {
            let mask = 1 << (index % 8);
            bytes[index] ^= mask;
            drop(read(format, &bytes));
            bytes[index] ^= mask;
        }
    }
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

#[test]
fn safetensors_lies() {
    let format = Format::Safetensors;
    let one = |entry: &str| safetensors(&format!("{{\"t\":{entry}}}"), 16);
    assert_error(format, &[255; 40], "safetensors header");
    assert_error(format, &safetensors("{", 0), "safetensors header");
    let beyond = one(r#"{"dtype":"F32","shape":[400],"data_offsets":[0,1600]}"#);
    assert_error(format, &beyond, "safetensors header");
    let overflow =
        one(r#"{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}"#);
    assert_error(format, &overflow, "safetensors header");
    let wrong_size = one(r#"{"dtype":"F32","shape":[3],"data_offsets":[0,16]}"#);
    assert_error(format, &wrong_size, "safetensors header");
    let overlapping = safetensors(
        r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}"#,
        16,
    );
    assert_error(format, &overlapping, "safetensors header");
    let backwards = one(r#"{"dtype":"F32","shape":[4],"data_offsets":[16,0]}"#);
    assert_error(format, &backwards, "safetensors header");
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

fn varint(tag: u8, mut value: u64) -> Vec<u8> {
    let mut message = vec![tag << 3];
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
    message
}

/// A graph with one constant.
fn constant(tensor: &[u8]) -> Vec<u8> {
    let entry = [field(1, b"value"), field(2, &field(8, tensor))].concat();
    let node = [field(1, b"weights"), field(2, b"Const"), field(5, &entry)].concat();
    field(1, &node)
}

fn shape(sizes: &[u64]) -> Vec<u8> {
    let sizes: Vec<u8> = sizes
        .iter()
        .flat_map(|&size| field(2, &varint(1, size)))
        .collect();
    field(2, &sizes)
}

#[test]
fn graph_lies() {
    let format = Format::GraphDef;
    assert_error(format, b"", "no nodes");
    assert_error(
        format,
        &[0x0a, 0xff, 0xff, 0xff, 0x7f, 0x00],
        "beyond its message",
    );
    assert_error(format, &field(1, &field(1, b"\xff\xfe")), "node 0");
    let float = varint(1, 1);
    let content = field(4, &[0; 16]);
    let wrong = [float.clone(), shape(&[3]), content.clone()].concat();
    assert_error(
        format,
        &constant(&wrong),
        "tensor `weights`: shape [3] of F32 does not fit its 16 bytes",
    );
    let overflow = [float.clone(), shape(&[1 << 62, 1 << 62]), content.clone()].concat();
    assert_error(format, &constant(&overflow), "tensor `weights`: shape");
    let negative = [float.clone(), shape(&[u64::MAX]), content].concat();
    assert_error(
        format,
        &constant(&negative),
        "tensor `weights`: a negative size",
    );
    // One value with a shape of 4 GiB is refused before memory is allocated.
    let fill = [
        float.clone(),
        shape(&[1 << 30]),
        field(5, &1f32.to_le_bytes()),
    ]
    .concat();
    assert_error(format, &constant(&fill), "more than");
    let none = [float.clone(), shape(&[4])].concat();
    assert_error(format, &constant(&none), "no values");
    let many = [float.clone(), shape(&[1]), field(5, &[0; 8])].concat();
    assert_error(format, &constant(&many), "2 values for a shape of 1");
    let good = [float, shape(&[4]), field(5, &1f32.to_le_bytes())].concat();
    assert!(read(format, &constant(&good)).is_ok());
    let twice = [constant(&good), constant(&good)].concat();
    assert_error(format, &twice, "tensor `weights`: appears twice");
    assert_error(
        format,
        &field(1, &[field(1, b"w"), field(2, b"Const")].concat()),
        "a Const without a value",
    );
}

/// A PyTorch zip with this pickle and one storage of 16 bytes.
fn pytorch(pickle: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, data) in [("m/data.pkl", pickle), ("m/data/0", &[0; 16][..])] {
        archive.start_file(name, options).unwrap();
        archive.write_all(data).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// The pickle of `{"w": tensor}`. The tensor uses storage 0, which has `elements` elements. Offset,
/// sizes and strides are pickled integers.
fn tensor_pickle(class: &str, elements: &str, offset: &str, sizes: &str, strides: &str) -> Vec<u8> {
    let mut pickle =
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"
            .to_vec();
    pickle.extend(class.as_bytes());
    pickle.extend(b"\nX\x01\0\0\x000X\x03\0\0\0cpu");
    let number = |text: &str, pickle: &mut Vec<u8>| {
        pickle.extend([0x8a, 8]);
        pickle.extend(text.parse::<i64>().unwrap().to_le_bytes());
    };
    number(elements, &mut pickle);
    pickle.extend(b"tQ");
    number(offset, &mut pickle);
    for list in [sizes, strides] {
        pickle.push(b'(');
        for text in list.split(',') {
            number(text, &mut pickle);
        }
        pickle.push(b't');
    }
    pickle.extend(b"\x89}tRs.");
    pickle
}

#[test]
fn pytorch_lies() {
    let format = Format::PyTorch;
    let tensor = |e, o, s, t| pytorch(&tensor_pickle("FloatStorage", e, o, s, t));
    assert!(read(format, &tensor("4", "0", "2,2", "2,1")).is_ok());
    assert!(read(format, &tensor("4", "0", "2,2", "1,2")).is_ok());
    assert_error(format, b"PK\x03\x04", "zip directory");
    assert_error(
        format,
        &tensor("5", "0", "2,2", "2,1"),
        "tensor `w`: a storage of 5 elements holds 4",
    );
    assert_error(
        format,
        &tensor("4", "1", "2,2", "2,1"),
        "exceeds its storage",
    );
    assert_error(
        format,
        &tensor("4", "0", "2,2", "9223372036854775807,1"),
        "exceeds its storage",
    );
    assert_error(
        format,
        &tensor("4", "0", "2,2", "1"),
        "does not go with strides",
    );
    assert_error(
        format,
        &tensor("4", "0", "4294967296,4294967296", "0,0"),
        "overflows",
    );
    assert_error(
        format,
        &tensor("4", "-1", "2,2", "2,1"),
        "tensor `w`: a broken description",
    );
    // Strides of 0 repeat one element, so 16 bytes become 4 GiB. This is refused before memory is
    // allocated.
    assert_error(format, &tensor("4", "0", "1073741824", "0"), "more than");
    // An integer tensor is listed but not read.
    assert!(
        read(
            format,
            &pytorch(&tensor_pickle("LongStorage", "2", "0", "2", "1"))
        )
        .is_ok()
    );
}

#[test]
fn pickles_that_would_run_grow_or_recurse() {
    let format = Format::PyTorch;
    // A call of os.system is recorded but never executed.
    let call = b"\x80\x02cos\nsystem\nX\x09\0\0\0echo oops\x85R.";
    assert_error(format, &pytorch(call), "no dict of tensors");
    // Each level contains the one before twice. Copying them would make 2^64 values.
    let mut billion = b"\x80\x02}X\x01\0\0\0w)q\x000".to_vec();
    for _ in 0..64 {
        billion.extend(b"h\0h\0\x86q\x000");
    }
    billion.extend(b"h\0s.");
    assert_error(format, &pytorch(&billion), "no dict of tensors");
    // The same with dicts, which are searched for tensors. Without a limit the search would visit
    // 16^16 of them.
    let mut dicts = b"\x80\x02}q\x000".to_vec();
    for _ in 0..16 {
        dicts.extend(b"}(");
        for key in 0..16 {
            dicts.extend([b'K', key, b'h', 0]);
        }
        dicts.extend(b"uq\x000");
    }
    dicts.extend(b"h\0.");
    assert_error(format, &pytorch(&dicts), "more than");
    // A million nested tuples.
    let mut deep = b"\x80\x02}X\x01\0\0\0w)".to_vec();
    deep.extend(vec![0x85; 1_000_000]);
    deep.extend(b"s.");
    assert_error(format, &pytorch(&deep), "no dict of tensors");
    assert_error(
        format,
        &pytorch(&[b"\x80\x02".to_vec(), vec![b'N'; 2_000_000]].concat()),
        "more than",
    );
    assert_error(format, &pytorch(b"\x80\x02h\x07."), "memo 7 is empty");
    assert_error(format, &pytorch(b"\x80\x02t."), "no mark");
    assert_error(format, &pytorch(b"\x80\x02."), "the stack is empty");
    assert_error(
        format,
        &pytorch(b"\x80\x02X\xff\xff\xff\x7fabc"),
        "bytes wanted",
    );
    assert_error(format, &pytorch(b"\x80\x02\xff."), "opcode 0xff");
    assert_error(format, &pytorch(b"\x80\x02N."), "no dict of tensors");
}

/// A zip bomb: 128 MiB of zeros in less than 1 MiB.
#[test]
fn a_compressed_storage_that_explodes_is_refused() {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("m/data.pkl", options).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..128 {
        archive.write_all(&zeros).unwrap();
    }
    let bytes = archive.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    assert_error(Format::PyTorch, &bytes, "more than");
}

#[test]
fn unknown_content_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.safetensors");
    std::fs::write(&path, "Dear diary, today I trained a network").unwrap();
    let error = load(&path, ReadLimits::default()).unwrap_err();
    assert!(
        matches!(error, CheckpointError::UnknownFormat { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("notes.safetensors") && error.to_string().contains("Dear diary")
    );
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(
        load(&path, ReadLimits::default()),
        Err(CheckpointError::UnknownFormat { .. })
    ));
    let limits = ReadLimits {
        file_bytes: 10,
        ..ReadLimits::default()
    };
    let error = load(&golden("timm_tiny.pth"), limits).unwrap_err();
    assert!(
        matches!(error, CheckpointError::FileTooLarge { limit: 10, .. }),
        "{error}"
    );
    let error = load(Path::new("no/such/file"), limits).unwrap_err();
    assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
}

#[test]
fn a_broken_configuration_beside_the_weights_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        golden("hugging_face_tiny/model.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    let config = folder.path().join("config.json");
    let load_with = |text: &str| {
        std::fs::write(&config, text).unwrap();
        load(folder.path(), ReadLimits::default())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert!(
        load_with("{\"model_type\": \"mobilenet_v1\", ")
            .unwrap_err()
            .contains("config.json: JSON")
    );
    let swish = load_with(r#"{"model_type": "mobilenet_v1", "hidden_act": "swish"}"#).unwrap_err();
    assert!(
        swish.contains("config.json: hidden_act: activation `swish` is not supported"),
        "{swish}"
    );
    let wide =
        load_with(r#"{"model_type": "mobilenet_v1", "depth_multiplier": 1e300}"#).unwrap_err();
    assert!(wide.contains("depth_multiplier"), "{wide}");
    let other =
        load_with(r#"{"model_type": "mobilenet_v1", "depth_multiplier": 0.5}"#).unwrap_err();
    assert!(other.contains("mismatched"), "{other}");
    assert_eq!(load_with(r#"{"model_type": "resnet"}"#), Ok(()));
}

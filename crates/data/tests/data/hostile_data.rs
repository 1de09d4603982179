//! Data files that are broken on purpose. They give an error that names the place, never a panic, a
//! hang or a large allocation.

use std::path::{Path, PathBuf};

use mobilenet_data::idx::IdxImages;
use mobilenet_data::tfrecord::{TfRecordOptions, TfRecords};
use mobilenet_data::{DataError, ImageDataset};
use mobilenet_photos::DecodeLimits;
use proptest::prelude::*;

/// A folder with the two files of an IDX data set.
struct Idx {
    dir: tempfile::TempDir,
}

impl Idx {
    fn new(images: &[u8], labels: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("images"), images).unwrap();
        std::fs::write(dir.path().join("labels"), labels).unwrap();
        Self { dir }
    }

    fn open(&self) -> Result<IdxImages, DataError> {
        let at = |name| self.dir.path().join(name);
        IdxImages::open(&at("images"), &at("labels"), None)
    }

    fn error(&self) -> String {
        self.open().expect_err("an error").to_string()
    }
}

const IMAGES: &[u8] = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x02abcd";
const LABELS: &[u8] = b"\0\0\x08\x01\0\0\0\x02\x00\x01";

#[test]
fn idx_of_any_wrong_length() {
    assert_eq!(Idx::new(IMAGES, LABELS).open().unwrap().len(), 2);
    for length in 0..IMAGES.len() {
        let error = Idx::new(&IMAGES[..length], LABELS).error();
        assert!(error.contains("images: expected"), "{length}: {error}");
    }
    for length in 0..LABELS.len() {
        let error = Idx::new(IMAGES, &LABELS[..length]).error();
        assert!(error.contains("labels: expected"), "{length}: {error}");
    }
    let error = Idx::new(&[IMAGES, b"e"].concat(), LABELS).error();
    assert!(
        error.contains("expected 4 bytes of values, [2, 1, 2], found more"),
        "{error}"
    );
}

#[test]
fn idx_with_wild_headers() {
    let with = |offset: usize, byte: u8| {
        let mut images = IMAGES.to_vec();
        images[offset] = byte;
        Idx::new(&images, LABELS).error()
    };
    assert!(with(2, 0x0d).contains("an IDX file that begins [0, 0, 8, 3]"));
    assert!(with(3, 4).contains("an IDX file that begins"));
    assert!(with(7, 3).contains("expected 6 bytes"));
    assert!(with(7, 0).contains("at least one value"));
    // 64 MiB are within the limit, but the file is shorter.
    assert!(with(4, 2).contains("found 4 bytes"));
    let huge = [&IMAGES[..4], &[0xff; 12], b"abcd"].concat();
    assert!(
        Idx::new(&huge, LABELS)
            .error()
            .contains("more than the limit")
    );
    let error = Idx::new(IMAGES, b"\0\0\x08\x01\0\0\0\x01\x00").error();
    assert!(error.contains("expected 2 labels"), "{error}");
}

/// A small file that unpacks to 64 MiB is read only up to the size in its header.
#[test]
fn idx_bomb() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(IMAGES).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(Idx::new(&bomb, LABELS).error().contains("found more"));
    let error = Idx::new(&bomb[..bomb.len() / 2], LABELS).error();
    assert!(error.contains("found more"), "{error}");
    let error = Idx::new(&bomb[..20], LABELS).error();
    assert!(error.contains("images"), "{error}");
}

fn shard() -> Vec<u8> {
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tfrecord/train-00000-of-00002");
    std::fs::read(golden).unwrap()
}

fn open_shard(bytes: &[u8]) -> (tempfile::TempDir, Result<TfRecords, DataError>) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("train-0");
    std::fs::write(&path, bytes).unwrap();
    let records = TfRecords::open(vec![path], TfRecordOptions::default());
    (dir, records)
}

/// A file may end only where a record ends.
#[test]
fn records_cut_anywhere() {
    let bytes = shard();
    let mut ends = vec![0];
    while let Some(header) = bytes
        .get(ends[ends.len() - 1]..)
        .and_then(|rest| rest.first_chunk())
    {
        ends.push(ends[ends.len() - 1] + 16 + u64::from_le_bytes(*header) as usize);
    }
    assert_eq!(ends.len(), 4);
    for length in 0..bytes.len() {
        let (_dir, records) = open_shard(&bytes[..length]);
        match ends.iter().position(|&end| end == length) {
            Some(count) => assert_eq!(records.unwrap().len(), count),
            None => {
                let error = records.expect_err("an error").to_string();
                assert!(error.contains("train-0, record "), "{error}");
            }
        }
    }
}

/// A checksum covers each byte.
#[test]
fn records_with_one_byte_changed() {
    let bytes = shard();
    for offset in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[offset] ^= 0x10;
        let (_dir, records) = open_shard(&changed);
        let error = records.expect_err("an error").to_string();
        assert!(error.contains("expected checksum"), "{offset}: {error}");
    }
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
        .to_le_bytes()
}

/// A record with correct checksums.
fn framed(record: &[u8]) -> Vec<u8> {
    let length = (record.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), record, &masked(record)].concat()
}

/// A protobuf field of fewer than 128 bytes.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[tag << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// A `tf.train.Example` with the given features.
fn example(features: &[(&str, &[u8])]) -> Vec<u8> {
    let entry = |(key, feature): &(&str, &[u8])| {
        field(1, &[field(1, key.as_bytes()), field(2, feature)].concat())
    };
    field(1, &features.iter().flat_map(entry).collect::<Vec<u8>>())
}

#[test]
fn record_that_says_it_is_huge() {
    for length in [u64::MAX, 1 << 40, 70 << 20] {
        let length = length.to_le_bytes();
        let (_dir, records) = open_shard(&[&length[..], &masked(&length)].concat());
        let error = records.expect_err("an error").to_string();
        assert!(error.contains("more than the limit"), "{error}");
    }
    let length = (60u64 << 20).to_le_bytes();
    let (_dir, records) = open_shard(&[&length[..], &masked(&length), b"short"].concat());
    let error = records.expect_err("an error").to_string();
    assert!(error.contains("found 5 bytes"), "{error}");
}

#[test]
fn records_without_what_is_needed() {
    let missing = |record: &[u8]| {
        let (_dir, records) = open_shard(&framed(record));
        records.expect_err("an error").to_string()
    };
    assert!(missing(b"").contains("no bytes in image/encoded"));
    assert!(missing(b"\x0a\x7fshort").contains("a field reaches beyond its message"));
    // Field 1, length 2^63.
    assert!(missing(b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01").contains("beyond"));
    // Nested groups, which a recursive reader would follow.
    assert!(missing(&[0x0b; 100_000]).contains("expected an Example"));
    let photo = field(1, &field(1, b"x"));
    let photo = ("image/encoded", &photo[..]);
    assert!(missing(&example(&[photo])).contains("no int64 in image/class/label"));
    // A number whose last byte is missing, an empty list, and another type.
    let list = |list: &[u8]| missing(&example(&[photo, ("image/class/label", list)]));
    assert!(list(&field(3, b"\x08\x80")).contains("expected an Example"));
    assert!(list(&field(3, b"")).contains("no int64 in image/class/label"));
    assert!(list(&field(1, &field(1, b"7"))).contains("no int64 in image/class/label"));
}

/// Labels that are packed or not, negative, or larger than any data set's.
#[test]
fn labels_of_hand_made_records() {
    let photo = field(1, &field(1, b"x"));
    let record = |list: &[u8]| {
        let label = field(3, list);
        framed(&example(&[
            ("image/encoded", &photo),
            ("image/class/label", &label),
        ]))
    };
    for list in [&b"\x0a\x02\x07\x08"[..], b"\x08\x07"] {
        let (_dir, records) = open_shard(&record(list));
        let records = records.unwrap();
        assert_eq!(records.label(0), 7);
        assert_eq!(records.class_names().len(), 8);
        let error = records.load(0).expect_err("no photo").to_string();
        assert!(error.contains("not a JPEG"), "{error}");
    }
    let minus_one = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    for list in [&minus_one[..], b"\x08\xff\xff\xff\xff\x0f"] {
        let (_dir, records) = open_shard(&record(list));
        let error = records.expect_err("an error").to_string();
        assert!(error.contains("expected a label from 0"), "{error}");
    }
}

#[test]
fn photos_of_records_obey_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train-0");
    std::fs::write(&path, shard()).unwrap();
    let limits = DecodeLimits {
        image_bytes: 70,
        ..DecodeLimits::default()
    };
    let options = TfRecordOptions {
        limits,
        ..TfRecordOptions::default()
    };
    let records = TfRecords::open(vec![path], options).unwrap();
    assert_eq!(records.load(0).unwrap().dimensions(), (5, 4));
    let error = records.load(1).expect_err("75 bytes of image").to_string();
    assert!(error.contains("more than the limit of 70"), "{error}");
}

#[test]
fn record_that_changes_after_it_was_found() {
    let (dir, records) = open_shard(&shard());
    let records = records.unwrap();
    let mut bytes = shard();
    bytes[40] ^= 1;
    let path = dir.path().join("train-0");
    std::fs::write(&path, bytes).unwrap();
    let error = records.load(0).expect_err("an error").to_string();
    assert!(
        error.contains("record at byte 12: expected checksum"),
        "{error}"
    );
    std::fs::write(&path, b"").unwrap();
    assert!(records.load(2).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// Noise with correct checksums, so that it reaches the protobuf reader.
    #[test]
    fn records_of_noise(record in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_dir, records) = open_shard(&framed(&record));
        prop_assert!(records.is_err());
    }

    #[test]
    fn messages_with_bytes_changed(places in proptest::collection::vec((0usize..300, any::<u8>()), 1..4)) {
        let bytes = shard();
        let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let mut record = bytes[12..12 + length].to_vec();
        for (offset, value) in places {
            let offset = offset % length;
            record[offset] = value;
        }
        let (_dir, records) = open_shard(&framed(&record));
        if let Ok(records) = records {
            // The result does not matter, but the call must return.
            let _ = records.load(0);
        }
    }

    #[test]
    fn idx_with_bytes_changed(offset in 0usize..16, value: u8) {
        let mut images = IMAGES.to_vec();
        images[offset] = value;
        let opened = Idx::new(&images, LABELS).open();
        prop_assert_eq!(opened.is_ok(), images == IMAGES || images[8..16] == [0, 0, 0, 2, 0, 0, 0, 1]);
    }
}

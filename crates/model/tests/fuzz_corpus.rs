//! Gives the corpus of the fuzz targets, and random changes of it, to every reader. No reader may
//! panic, take a second, or use more memory than the limits allow.
//!
//! `MOBILENET_FUZZ_INPUTS` is the number of inputs per reader, 20,000 by default.

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use mobilenet_model::checkpoint::Format;

/// Most time for an input.
const LONGEST: Duration = Duration::from_secs(1);

/// The random generator splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Sizes and offsets that often reveal errors.
const NUMBERS: [u64; 9] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    u64::MAX,
];

/// Changes some bytes.
fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len());
    let length = random.below(16).min(bytes.len() - at);
    match random.below(9) {
        0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        2 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        3 | 4 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
            for (byte, new) in bytes.iter_mut().skip(at).zip(&number[..width]) {
                *byte = *new;
            }
        }
        5 => drop(bytes.drain(at..at + length)),
        6 => {
            let copy = bytes[at..at + length].to_vec();
            let target = random.below(bytes.len());
            bytes.splice(target..target, copy);
        }
        7 => bytes.truncate(at),
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let start = random.below(other.len());
            let piece = other[start..(start + 64).min(other.len())].to_vec();
            let end = (at + piece.len()).min(bytes.len());
            bytes.splice(at..end, piece);
        }
    }
}

/// The process' peak memory in bytes, if the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kilobytes << 10)
}

/// Reads an input, and returns whether it could be read. Where other programs have the processor, a
/// reader may stand still for a second, so a slow input is read again.
fn check(format: Format, bytes: &[u8], what: &str) -> bool {
    let mut least = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        let result = catch_unwind(|| fuzz::read(format, bytes));
        least = least.min(start.elapsed());
        match result {
            Ok(read) if least < LONGEST => return read,
            Ok(_) => {}
            Err(_) => fail(format, bytes, &format!("{what}: a panic")),
        }
    }
    fail(format, bytes, &format!("{what}: {least:?}"))
}

/// Keeps the input and fails.
fn fail(format: Format, bytes: &[u8], what: &str) -> ! {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz_corpus_input");
    std::fs::write(&file, bytes).unwrap();
    panic!("{format}, {what}; the input is {}", file.display());
}

#[test]
fn mutations_of_the_corpus_do_no_harm() {
    let inputs = std::env::var("MOBILENET_FUZZ_INPUTS")
        .map_or(20_000, |number| number.parse::<u64>().unwrap());
    let before = peak_memory();
    for format in Format::ALL {
        let folder = fuzz::corpus().join(fuzz::target(format));
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files
            .iter()
            .map(|file| std::fs::read(file).unwrap())
            .collect();
        // If no seed could be read, the corpus would test nothing.
        let good = seeds
            .iter()
            .filter(|seed| check(format, seed, "seed"))
            .count();
        assert!(good > 0, "{format}: no seed can be read");
        let mut read = 0;
        for number in 0..inputs {
            let mut random = Random(number);
            let mut bytes = seeds[random.below(seeds.len())].clone();
            for _ in 0..=random.below(4) {
                mutate(&mut bytes, &seeds, &mut random);
            }
            if check(format, &bytes, &format!("input {number}")) {
                read += 1;
            }
        }
        println!("{format}: {good} seeds, {inputs} inputs, of which {read} could be read");
    }
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let grown = (after - before) >> 20;
        println!("peak memory grew by {grown} MiB");
        // The limits allow 1 MiB plus four times the size of a file, which is a few kilobytes. The
        // rest is the test's own memory.
        assert!(grown < 32, "peak memory grew by {grown} MiB");
    }
}

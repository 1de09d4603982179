//! A scheduler and two executors, one of which is killed in the middle of a query. The names are those
//! that `mobilenet classify` finds on one machine. `check.sh` builds that program and names it.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use mobilenet::Photo;
use serde_json::Value;

const FILES: usize = 16;
const PHOTOS: usize = 10;

const WEIGHTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../mobilenet/weights/fashion_mnist_0.25_96.safetensors"
);

/// A program that does not outlive the test.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_mobilenet-ballista"));
        Self(program.args(arguments).spawn().unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waves and checks of some size, and one file that is no photo.
fn photo(folder: &Path, number: usize) -> (String, Vec<u8>) {
    let path = folder.join(format!("{number}.png"));
    if number == 33 {
        std::fs::write(&path, "no photo").unwrap();
    } else {
        let wave = |at: u32, turns: usize| {
            let angle = at as f32 * (1 + turns % 7) as f32 * 0.02;
            (angle.sin() * 120.0 + 128.0) as u8
        };
        let size = 200 + number as u32 % 9;
        let photo = Photo::from_fn(size, size, |x, y| {
            let grey = wave(x + y * (number as u32 % 5), number).max(wave(y, number / 7));
            [grey, grey / 2 + 60, grey].into()
        });
        photo.save(&path).unwrap();
    }
    let bytes = std::fs::read(&path).unwrap();
    (path.to_str().unwrap().to_string(), bytes)
}

fn write(path: &Path, photos: &[(String, Vec<u8>)]) {
    let names = StringArray::from_iter_values(photos.iter().map(|(name, _)| name));
    let bytes = BinaryArray::from_iter_values(photos.iter().map(|(_, bytes)| bytes));
    let columns: [(&str, ArrayRef); 2] = [("path", Arc::new(names)), ("image", Arc::new(bytes))];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    file.write(&rows).unwrap();
    file.close().unwrap();
}

/// A row: photo, error or nothing, class, label and probability.
type Row = (String, String, String, String, String);

/// The rows of the cluster's table in the order of their photos.
fn rows(path: &Path) -> Vec<Row> {
    let file = File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let value = |column: &str| {
                array_value_to_string(batch.column_by_name(column).unwrap(), row).unwrap()
            };
            let [photo, error, class, label, probability] =
                ["photo", "error", "class_1", "label_1", "probability_1"].map(value);
            let probability = match &probability[..] {
                "" => String::new(),
                number => (number.parse::<f64>().unwrap() as f32).to_string(),
            };
            rows.push((photo, error, class, label, probability));
        }
    }
    rows.sort_unstable();
    rows
}

/// The same of one machine, which writes JSON. Its errors begin with the photo, which executors do not
/// know.
fn rows_of_one(path: &Path) -> Vec<Row> {
    let row = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let photo = line["photo"].as_str().unwrap().to_string();
        if let Some(error) = line["error"].as_str() {
            let error = error.replacen(&photo, "photo", 1);
            return (photo, error, String::new(), String::new(), String::new());
        }
        let best = &line["predictions"][0];
        let label = best["label"].as_str().unwrap().to_string();
        let probability = best["probability"].as_f64().unwrap() as f32;
        let class = best["class"].to_string();
        (photo, String::new(), class, label, probability.to_string())
    };
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows: Vec<Row> = text.lines().map(row).collect();
    rows.sort_unstable();
    rows
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

#[test]
fn a_query_survives_an_executor() {
    let Some(mobilenet) = std::env::var_os("MOBILENET_PROGRAM") else {
        println!("SKIPPED: MOBILENET_PROGRAM names no program to compare with; see check.sh");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    let text = |name: &str| at(name).to_str().unwrap().to_string();
    std::fs::create_dir_all(at("files")).unwrap();
    std::fs::create_dir_all(at("tables")).unwrap();
    let photos: Vec<_> = (0..FILES * PHOTOS)
        .map(|number| photo(&at("files"), number))
        .collect();
    let names: Vec<&str> = photos.iter().map(|(name, _)| &name[..]).collect();
    std::fs::write(at("photos.txt"), names.join("\n")).unwrap();
    for (number, photos) in photos.chunks(PHOTOS).enumerate() {
        write(&at("tables").join(format!("{number}.parquet")), photos);
    }

    let mut classify = Command::new(mobilenet);
    classify.args(["classify", "--weights", WEIGHTS, "--top", "1"]);
    classify.args(["--manifest", &text("photos.txt"), "--part", "0/1"]);
    classify.args(["--out", &text("one.jsonl")]);
    assert!(classify.status().unwrap().success());
    let expected = rows_of_one(&at("one.jsonl"));
    assert_eq!(expected.len(), photos.len());
    assert!(
        expected.iter().any(|row| !row.1.is_empty()),
        "none is broken"
    );

    let port = free_port();
    let _scheduler = Running::start(&[
        "scheduler",
        "--verbose",
        "--port",
        &port,
        "--executor-timeout",
        "4",
    ]);
    let executor = |name: &str| {
        Running::start(&[
            "executor",
            "--weights",
            WEIGHTS,
            "--tasks",
            "1",
            "--heartbeat",
            "1",
            "--scheduler-port",
            &port,
            "--port",
            &free_port(),
            "--orders-port",
            &free_port(),
            "--work-dir",
            &text(name),
        ])
    };
    let (mut killed, mut other) = (executor("killed"), executor("other"));
    let out = text("many.parquet");
    let tables = text("tables");
    let query = |out: &str, more: &[&str]| {
        let arguments = [
            "client",
            "--photos",
            &tables,
            "--out",
            out,
            "--scheduler-port",
            &port,
        ];
        Running::start(&[&arguments[..], more].concat())
    };
    // Executors wait for the scheduler, and queries for executors.
    std::thread::sleep(Duration::from_secs(3));
    let begin = Instant::now();
    let mut client = query(&out, &[]);
    while files(&at("killed")) < 2 {
        assert!(begin.elapsed() < Duration::from_secs(60), "it does nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    killed.0.kill().unwrap();
    assert!(!client.has_ended() && !other.has_ended() && !Path::new(&out).exists());
    println!("killed after {:.1?}", begin.elapsed());
    while !client.has_ended() {
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "the query hangs"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("done after {:.1?}", begin.elapsed());
    assert!(rows(&at("many.parquet")) == expected);

    // SQL of one's own, on the executor that is left.
    let sql = "SELECT classify(image)['label'] AS label, count(*) AS n FROM photos GROUP BY 1";
    let counts = text("counts.parquet");
    assert!(query(&counts, &["--sql", sql]).0.wait().unwrap().success());
    assert!(Path::new(&counts).is_file());
    // What is no query leaves nothing.
    let none = text("none.parquet");
    assert!(
        !query(&none, &["--sql", "SELECT nothing FROM photos"])
            .0
            .wait()
            .unwrap()
            .success()
    );
    assert!(!Path::new(&none).exists());
}

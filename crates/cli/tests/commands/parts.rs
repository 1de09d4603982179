//! Photos classified in parts by jobs that run apart, and the table that is made of them.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{Folder, program, random_weights, run, stderr, stdout, write_photo};
use mobilenet::model::labels::Labels;

const PARTS: usize = 7;

/// Number of photos. More take longer: `MOBILENET_TEST_PHOTOS=1000`.
fn photos() -> usize {
    let set = std::env::var("MOBILENET_TEST_PHOTOS").ok();
    set.map_or(60, |number| number.parse().unwrap())
}

/// A manifest of photos, of which one is broken and one has a name that CSV quotes.
fn manifest(folder: &Folder) -> String {
    let mut list = String::new();
    for photo in 0..photos() {
        let name = match photo {
            20 => "a, \"b\".png".to_string(),
            _ => format!("{photo}.png"),
        };
        let path = folder.path(&format!("photos/{name}"));
        match photo {
            33 => std::fs::write(&path, "no photo").unwrap(),
            _ => write_photo(&path, photo as u32),
        }
        list += &format!("{path}\n");
    }
    let path = folder.path("photos.txt");
    std::fs::write(&path, list).unwrap();
    path
}

fn weights(folder: &Folder) -> String {
    let path = folder.path("weights.safetensors");
    random_weights(&path, Some(5), Labels::Unknown);
    path
}

/// A table without its times.
fn rows(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let without_time = |row: &str| {
        // The photo may have commas, the columns from the right have none.
        let mut fields: Vec<&str> = row.rsplitn(8, ',').collect();
        if fields.len() == 8 {
            fields.remove(6);
        }
        fields.join(",")
    };
    text.lines().map(without_time).collect()
}

/// Classifies the photos of a manifest as one part, and as several of which two are killed and run
/// again. The tables are the same. Gives the arguments of the merge.
fn merged_like_one_run(folder: &Folder, manifest: &str, weights: &str) -> Vec<String> {
    let classify = ["classify", "--manifest", manifest, "-w", weights, "-k", "2"];
    let whole = folder.path("whole.csv");
    let output = run(&[&classify[..], &["--part", "0/1", "--out", &whole]].concat());
    // A broken photo is a row of the table, not a failure of the job.
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("1 failed"), "{}", stderr(&output));
    assert_eq!(rows(&whole).len(), 1 + photos());

    std::fs::create_dir(folder.path("parts")).unwrap();
    let out = |part: usize| folder.path(&format!("parts/{part}.csv"));
    let start = |part: usize| -> Child {
        let name = format!("{part}/{PARTS}");
        let out = out(part);
        let more = ["--part", &name, "--out", &out];
        let mut command = program(&[&classify[..], &more].concat());
        command.stderr(Stdio::null()).spawn().unwrap()
    };
    // Two parts are killed; nothing is left of them.
    for (part, milliseconds) in [(2, 0), (5, 30)] {
        let mut child = start(part);
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        if std::path::Path::new(&out(part)).exists() {
            println!("part {part} was done before it was killed");
        }
    }
    for part in 0..PARTS {
        assert!(start(part).wait().unwrap().success());
    }
    // A killed process leaves the file that it was writing, under a name of its own.
    let files = std::fs::read_dir(folder.path("parts")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|name| !name.ends_with(".partial")).collect();
    assert_eq!(names.len(), PARTS, "{names:?}");
    // A part that is there stays as it is.
    let before = std::fs::read(out(3)).unwrap();
    assert!(start(3).wait().unwrap().success());
    assert!(std::fs::read(out(3)).unwrap() == before);

    let merged = folder.path("merged.csv");
    let mut arguments = ["merge", "--manifest", manifest, "--out", &merged]
        .map(String::from)
        .to_vec();
    arguments.extend((0..PARTS).rev().map(out));
    let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = format!("{} rows of 7 parts", photos());
    assert!(stdout(&output).contains(&expected), "{}", stdout(&output));
    assert_eq!(rows(&merged), rows(&whole));
    arguments
}

#[test]
fn parts_become_the_table_of_one_run() {
    let folder = Folder::new();
    let (manifest, weights) = (manifest(&folder), weights(&folder));
    let arguments = merged_like_one_run(&folder, &manifest, &weights);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let out = |part: usize| folder.path(&format!("parts/{part}.csv"));
    let merged = folder.path("merged.csv");

    let refused = |arguments: &[&str], expected: &str| {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    };
    refused(&arguments, "it exists");
    std::fs::remove_file(&merged).unwrap();
    // The last part is missing, which no number tells.
    refused(&arguments[..arguments.len() - 1], "is missing");
    let some = ["merge", &out(0), &out(1), "--out", &merged];
    refused(
        &[&some[..], &["--manifest", &manifest]].concat(),
        "a part is missing",
    );
    std::fs::write(out(6), "photo,other\r\n").unwrap();
    refused(&arguments, "other columns");
    let before = std::fs::read(out(3)).unwrap();
    std::fs::write(out(6), &before[..before.len() - 3]).unwrap();
    refused(&arguments, "no whole table");
}

/// The same photos as rows of a Parquet file, which has their bytes or only their paths.
#[cfg(feature = "parquet")]
#[test]
fn manifests_may_be_parquet() {
    use mobilenet::parquet::{Column, Values, to_bytes};

    let folder = Folder::new();
    let (list, weights) = (manifest(&folder), weights(&folder));
    let list = std::fs::read_to_string(list).unwrap();
    let paths: Vec<&str> = list.lines().collect();
    let names = paths.iter().map(|path| Some(path.to_string())).collect();
    let names = Column::new("path", Values::Text(names));
    let bytes = paths.iter().map(|path| std::fs::read(path).ok()).collect();
    let bytes = Column::new("image", Values::Bytes(bytes));
    let tables: Vec<_> = [vec![names.clone()], vec![bytes, names]]
        .iter()
        .map(|columns| {
            let folder = Folder::new();
            let table = folder.path("photos.parquet");
            std::fs::write(&table, to_bytes(columns).unwrap()).unwrap();
            (folder, table)
        })
        .collect();
    let (with_paths, table) = &tables[0];
    merged_like_one_run(with_paths, table, &weights);
    // The bytes are enough.
    std::fs::remove_dir_all(folder.path("photos")).unwrap();
    let (with_bytes, table) = &tables[1];
    merged_like_one_run(with_bytes, table, &weights);
    let whole = [with_paths, with_bytes].map(|folder| rows(&folder.path("whole.csv")));
    assert_eq!(whole[0], whole[1]);

    // A table that is cut off is no part.
    let cut = folder.path("cut.parquet");
    let bytes = std::fs::read(table).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 9]).unwrap();
    let out = folder.path("0.csv");
    let output = run(&[
        "classify",
        "--manifest",
        &cut,
        "-w",
        &weights,
        "--part",
        "0/2",
        "--out",
        &out,
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cut.parquet"),
        "{}",
        stderr(&output)
    );
    assert!(!std::path::Path::new(&out).exists());
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_program_without_parquet_says_how_to_build_one() {
    let folder = Folder::new();
    let table = folder.path("photos.parquet");
    std::fs::write(&table, "PAR1").unwrap();
    let output = run(&["classify", "--manifest", &table]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("--features parquet"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn lines_of_json_are_merged_too() {
    let folder = Folder::new();
    let (manifest, weights) = (manifest(&folder), weights(&folder));
    let classify = [
        "classify",
        "--manifest",
        &manifest,
        "-w",
        &weights,
        "-k",
        "1",
    ];
    let mut merge = vec!["merge".to_string()];
    for part in 0..3 {
        let out = folder.path(&format!("{part}.jsonl"));
        let name = format!("{part}/3");
        let output = run(&[&classify[..], &["--part", &name, "--out", &out]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        merge.push(out);
    }
    let merged = folder.path("merged.jsonl");
    merge.extend(["--out", &merged, "--manifest", &manifest].map(String::from));
    let merge: Vec<&str> = merge.iter().map(String::as_str).collect();
    let output = run(&merge);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(&merged).unwrap();
    assert_eq!(text.lines().count(), photos());
    assert!(text.lines().nth(33).unwrap().contains("\"error\""));
}

#[test]
fn wrong_usage_is_two() {
    let folder = Folder::new();
    let list = folder.path("list.txt");
    std::fs::write(&list, "").unwrap();
    for arguments in [
        &[
            "classify",
            "--manifest",
            &list,
            "--part",
            "7/7",
            "--out",
            "x.csv",
        ][..],
        &[
            "classify",
            "--manifest",
            &list,
            "--part",
            "1",
            "--out",
            "x.csv",
        ],
        &[
            "classify",
            "--manifest",
            &list,
            "--part",
            "0/0",
            "--out",
            "x.csv",
        ],
        &["classify", "--manifest", &list, "--part", "0/2"],
        &["classify", "photo.jpg", "--part", "0/2", "--out", "x.csv"],
        &["classify", "photo.jpg", "--manifest", &list],
        &["classify"],
        &["merge", "--out", "x.csv"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

//! `classify --output FILE.parquet` and `features -o FILE.parquet`.

use crate::support::{Folder, random_weights, run, stderr, write_photo};
use mobilenet::model::labels::Labels;

fn photos(folder: &Folder) -> (String, String) {
    write_photo(folder.path("photos/one.png"), 1);
    write_photo(folder.path("photos/two.png"), 2);
    std::fs::write(folder.path("photos/three.png"), "no photo").unwrap();
    let weights = folder.path("weights.safetensors");
    random_weights(&weights, Some(5), Labels::Unknown);
    (folder.path("photos"), weights)
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_program_without_parquet_says_how_to_build_one() {
    let folder = Folder::new();
    let (photos, weights) = photos(&folder);
    let out = folder.path("x.parquet");
    for command in ["classify", "features"] {
        let output = run(&[command, &photos, "-w", &weights, "-o", &out]);
        assert_eq!(output.status.code(), Some(2));
        let error = stderr(&output);
        assert!(error.contains("--features parquet"), "{error}");
    }
}

/// The file names its columns in plain text at its end, and stores text as it is. A reader is tested
/// where the file is made, in the facade.
#[cfg(feature = "parquet")]
#[test]
fn answers_and_features_are_written_whole() {
    let folder = Folder::new();
    let (photos, weights) = photos(&folder);
    let out = folder.path("x.parquet");
    let contents = |names: &[&str]| {
        let bytes = std::fs::read(&out).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        for name in names {
            let found = bytes
                .windows(name.len())
                .any(|part| part == name.as_bytes());
            assert!(found, "{name}");
        }
        std::fs::remove_file(&out).unwrap();
    };
    let classify = ["classify", &photos, "-w", &weights, "-o", &out, "-k", "2"];
    let output = run(&classify);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    contents(&[
        "one.png",
        "two.png",
        "three.png",
        "probability_2",
        "not a JPEG",
    ]);
    std::fs::write(&out, "of before").unwrap();
    for (more, expected) in [
        (&[][..], "it exists"),
        (&["--resume"], "cannot be completed"),
    ] {
        let output = run(&[&classify[..], more].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    std::fs::remove_file(&out).unwrap();
    std::fs::remove_file(folder.path("photos/three.png")).unwrap();
    let output = run(&["features", &photos, "-w", &weights, "-o", &out]);
    assert!(output.status.success(), "{}", stderr(&output));
    contents(&["one.png", "two.png", "features"]);
}

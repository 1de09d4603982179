//! `features`, `search`, `duplicates` and `knn` on made photos with random weights.

use crate::support::{
    Folder, json, lines, made_folder, made_photo, random_weights, read_npy, run, stderr, stdout,
    write_npy, write_photo,
};
use mobilenet::model::labels::Labels;

/// A folder of eight photos, also in a folder below, and weights.
fn photos(folder: &Folder) -> (String, String) {
    for seed in 0..8 {
        let place = if seed < 5 { "" } else { "below/" };
        write_photo(folder.path(&format!("photos/{place}{seed}.png")), seed);
    }
    std::fs::write(folder.path("photos/notes.txt"), "no photo").unwrap();
    let weights = folder.path("weights.safetensors");
    random_weights(&weights, Some(5), Labels::Unknown);
    (folder.path("photos"), weights)
}

fn failure(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    stderr(&output)
}

#[test]
fn features_are_rows_with_names_beside_them() {
    let folder = Folder::new();
    let (photos, weights) = photos(&folder);
    // A hidden photo, and a folder that leads back here.
    write_photo(folder.path("photos/.9.png"), 9);
    #[cfg(unix)]
    std::os::unix::fs::symlink(&photos, folder.path("photos/below/circle")).unwrap();
    let (npy, lines_file) = (folder.path("x.npy"), folder.path("x.jsonl"));
    for (out, threads) in [(&npy, "1"), (&lines_file, "3")] {
        let output = run(&[
            "features",
            &photos,
            "-o",
            out,
            "--weights",
            &weights,
            "--threads",
            threads,
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains("8 photos, 256 features each"));
    }
    let (shape, values) = read_npy(&npy);
    assert_eq!(shape, [8, 256]);
    let names = std::fs::read_to_string(folder.path("x.txt")).unwrap();
    let names: Vec<&str> = names.lines().collect();
    assert!(
        names[0].ends_with("0.png") && names[7].ends_with("below/7.png"),
        "{names:?}"
    );
    let text = std::fs::read_to_string(&lines_file).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    for ((row, name), values) in rows.zip(names).zip(values.chunks(256)) {
        let row: serde_json::Value = row;
        assert_eq!(row["photo"], name);
        let features: Vec<f32> = serde_json::from_value(row["features"].clone()).unwrap();
        assert_eq!(features, values);
    }
    assert!(values.iter().any(|&value| value != values[0]));
}

#[test]
fn a_bad_photo_is_reported_and_left_out() {
    let folder = Folder::new();
    let (photos, weights) = photos(&folder);
    std::fs::write(folder.path("photos/3.png"), "no photo").unwrap();
    let out = folder.path("x.npy");
    let said = failure(&["features", &photos, "-o", &out, "--weights", &weights]);
    assert!(
        said.contains("3.png: not a JPEG") && said.contains("1 of 8 photos"),
        "{said}"
    );
    assert_eq!(read_npy(&out).0, [7, 256]);
    let empty = folder.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let none = folder.path("none.npy");
    assert!(
        failure(&["features", &empty, "-o", &none, "--weights", &weights]).contains("no photos")
    );
    let bad = folder.path("photos/3.png");
    assert!(
        failure(&["features", &bad, "-o", &none, "--weights", &weights])
            .contains("none of 1 photos")
    );
    assert!(!std::path::Path::new(&none).exists());
    for out in ["x", "x.csv"] {
        let output = run(&[
            "features",
            &photos,
            "-o",
            &folder.path(out),
            "--weights",
            &weights,
        ]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(".npy, .jsonl or .parquet"));
    }
}

#[test]
fn search_finds_the_same_photo_first_wherever_features_come_from() {
    let folder = Folder::new();
    let (photos, weights) = photos(&folder);
    let query = folder.path("query.png");
    made_photo(6, 160, 140)
        .save(made_folder(query.as_ref()))
        .unwrap();
    let search = |among: &str, more: &[&str]| {
        let usual = ["search", &query, among, "--weights", &weights, "--json"];
        json(&[&usual[..], more].concat())
    };
    let of_folder = search(&photos, &["--top", "3"]);
    assert_eq!(of_folder.len(), 3);
    assert!(
        of_folder[0]["photo"]
            .as_str()
            .unwrap()
            .ends_with("below/6.png")
    );
    let cosine = |at: usize| of_folder[at]["cosine"].as_f64().unwrap();
    assert!(cosine(0) > 0.99 && cosine(0) >= cosine(1) && cosine(1) >= cosine(2));
    for file in ["x.npy", "x.jsonl"] {
        let file = folder.path(file);
        assert!(
            run(&["features", &photos, "-o", &file, "--weights", &weights])
                .status
                .success()
        );
        assert_eq!(search(&file, &["--top", "3", "--threads", "2"]), of_folder);
    }
    assert_eq!(search(&photos, &[]).len(), 8);
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let folder = Folder::new();
    let (photos, weights) = photos(&folder);
    let query = folder.path("photos/0.png");
    let search = |among: &str| failure(&["search", &query, among, "--weights", &weights]);
    let file = folder.path("x.npy");
    std::fs::write(folder.path("x.txt"), "a\nb\n").unwrap();
    write_npy(&file, &[2, 1024], &[0.5; 2048]);
    assert!(search(&file).contains("1024 features, and the weights give 256"));
    let mut values = [0.5; 512];
    values[300] = f32::NAN;
    write_npy(&file, &[2, 256], &values);
    assert!(search(&file).contains("row 1 (b) has a feature that is NaN"));
    write_npy(&file, &[3, 256], &[0.5; 768]);
    assert!(search(&file).contains("expected 3 names, found 2"));
    std::fs::remove_file(folder.path("x.txt")).unwrap();
    assert!(search(&file).contains("x.txt"));
    assert!(search(&query).contains(".npy or .jsonl"));
    assert!(search(&folder.path("none.npy")).contains("none.npy"));

    // Features of the same photos by other weights.
    let others = folder.path("others.safetensors");
    let text = std::fs::read(&weights).unwrap();
    std::fs::write(&others, text).unwrap();
    assert!(
        run(&["features", &photos, "-o", &file, "--weights", &others])
            .status
            .success()
    );
    let (shape, mut values) = read_npy(&file);
    values.reverse();
    write_npy(&file, &shape, &values);
    assert!(
        search(&file).contains("written with others"),
        "{}",
        search(&file)
    );
}

#[test]
fn duplicates_are_the_same_photos_in_any_quality_and_size() {
    let folder = Folder::new();
    let (photos, weights) = photos(&folder);
    let save = |seed, width, height, name: &str| {
        let path = folder.path(&format!("photos/{name}"));
        made_photo(seed, width, height)
            .save(made_folder(path.as_ref()))
            .unwrap();
    };
    save(2, 200, 180, "large.jpg");
    save(2, 96, 88, "again/small.jpg");
    save(5, 96, 88, "five.jpg");
    let groups = json(&["duplicates", &photos, "--json"]);
    let names = |group: &serde_json::Value| -> Vec<String> {
        let photos = group["photos"].as_array().unwrap().iter();
        let name = |photo: &serde_json::Value| {
            photo
                .as_str()
                .unwrap()
                .rsplit_once("photos/")
                .unwrap()
                .1
                .to_string()
        };
        photos.map(name).collect()
    };
    let found: Vec<Vec<String>> = groups.iter().map(names).collect();
    assert_eq!(
        found,
        [
            vec!["2.png", "again/small.jpg", "large.jpg"],
            vec!["below/5.png", "five.jpg"]
        ]
    );
    let text = stdout(&run(&["duplicates", &photos]));
    assert!(
        text.ends_with("11 photos: 3 are there already, in 2 groups\n"),
        "{text}"
    );

    let alike = |threshold: &str| {
        json(&[
            "duplicates",
            &photos,
            "--threshold",
            threshold,
            "--weights",
            &weights,
            "--json",
        ])
    };
    assert_eq!(alike("-1").len(), 1);
    assert_eq!(names(&alike("-1")[0]).len(), 11);
    assert_eq!(
        run(&["duplicates", &photos, "--threshold", "2"])
            .status
            .code(),
        Some(2)
    );

    std::fs::write(folder.path("photos/3.png"), "no photo").unwrap();
    let output = run(&["duplicates", &photos, "--json"]);
    assert_eq!((output.status.code(), lines(&output)), (Some(1), groups));
}

/// Class folders in `train` and `test`: scenes of a class are near each other.
fn classes(folder: &Folder, names: &[&str]) -> String {
    for (class, name) in (0..).zip(names) {
        for photo in 0..6 {
            let part = if photo < 4 { "train" } else { "test" };
            let path = folder.path(&format!("data/{part}/{name}/{photo}.png"));
            let mut scene = made_photo(3, 96, 88);
            for (x, y, pixel) in scene.enumerate_pixels_mut() {
                // A class has a colour, and each photo two dark spots of its own.
                pixel.0[class as usize % 3] /= 4;
                let spot = (x / 24, y / 22);
                if spot == (photo % 4, photo / 4) || spot == ((photo + 1) % 4, 3) {
                    *pixel = [10; 3].into();
                }
            }
            scene.save(made_folder(path.as_ref())).unwrap();
        }
    }
    folder.path("data")
}

#[test]
fn neighbours_name_the_class() {
    let folder = Folder::new();
    let data = classes(&folder, &["a", "b", "c"]);
    let weights = folder.path("weights.safetensors");
    random_weights(&weights, Some(5), Labels::Unknown);
    let (train, test) = (folder.path("data/train"), folder.path("data/test"));
    let line = &json(&["knn", &data, "--weights", &weights, "--json"])[0];
    assert_eq!(
        (&line["images"], &line["k"], &line["copies"]),
        (&6.into(), &1.into(), &0.into())
    );
    assert_eq!(line["accuracy"], 1.0);
    let named = &json(&[
        "knn",
        &train,
        &test,
        "-k",
        "3",
        "--weights",
        &weights,
        "--json",
    ])[0];
    assert_eq!((&named["k"], &named["images"]), (&3.into(), &6.into()));

    // A copy is told, and counted out.
    let copy = folder.path("data/test/b/copy.jpg");
    let photo = image::open(folder.path("data/train/b/1.png")).unwrap();
    photo.save(copy).unwrap();
    let output = run(&["knn", &data, "--weights", &weights]);
    let (said, text) = (stderr(&output), stdout(&output));
    assert!(
        said.contains("1 of 7 test photos are copies") && said.contains("copy.jpg is "),
        "{said}"
    );
    assert!(text.contains("on the 6 that are no copies"), "{text}");

    // A class that there is nothing to learn of.
    write_photo(folder.path("data/test/d/0.png"), 50);
    let said = failure(&["knn", &train, &test, "--weights", &weights]);
    assert!(said.contains("1 unknown: `d`"), "{said}");
    assert!(failure(&["knn", &folder.path("none"), "--weights", &weights]).contains("none"));
}

#[test]
fn a_classifier_is_trained_in_one_step() {
    let folder = Folder::new();
    let data = classes(&folder, &["ant", "bee", "cow"]);
    let (weights, out) = (folder.path("weights.safetensors"), folder.path("out"));
    random_weights(&weights, Some(5), Labels::Unknown);
    let usual = [
        "train", "--head", "--data", &data, "--out", &out, "--init", &weights,
    ];
    let output = run(&[&usual[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let line = &lines(&output)[0];
    assert_eq!(
        (&line["accuracy"], &line["images"]),
        (&1.0.into(), &6.into())
    );
    let model = folder.path("out/model.safetensors");
    let eval = &json(&["eval", "--weights", &model, "--data", &data, "--json"])[0];
    assert_eq!(
        (&eval["accuracy"], &eval["images"]),
        (&1.0.into(), &6.into())
    );
    let photo = folder.path("data/test/bee/5.png");
    let named = &json(&["classify", &photo, "--weights", &model, "--json"])[0];
    assert_eq!(named["predictions"][0]["label"], "bee");
    let page = std::fs::read_to_string(folder.path("out/report/report.html")).unwrap();
    assert!(
        page.contains("weights.safetensors") || page.contains("data"),
        "{page}"
    );

    // Another run must not write over it, unless it is told to; the features are there already.
    assert!(failure(&usual).contains("is there already"));
    let first = std::fs::read(&model).unwrap();
    let again = run(&[&usual[..], &["--resume"]].concat());
    assert!(again.status.success() && stderr(&again).contains("features of 12 photos from"));
    assert!(std::fs::read(&model).unwrap() == first);
    let other = run(&[&usual[..], &["--resume", "--l2", "1"]].concat());
    assert!(other.status.success() && std::fs::read(&model).unwrap() != first);
    // A photo that changed is read again.
    write_photo(folder.path("data/train/ant/0.png"), 30);
    let changed = stderr(&run(&[&usual[..], &["--resume"]].concat()));
    assert!(
        !changed.contains("12 photos from") && changed.contains("6 photos from"),
        "{changed}"
    );

    // Photos that cannot be used.
    std::fs::write(folder.path("data/train/cow/1.png"), "no photo").unwrap();
    let said = failure(&[&usual[..], &["--resume"]].concat());
    assert!(said.contains("1 of 12 photos cannot be used"), "{said}");
    let lenient = run(&[&usual[..], &["--resume", "--max-skipped", "0.5"]].concat());
    assert!(lenient.status.success() && stderr(&lenient).contains("cow/1.png"));
    for flag in ["--epochs", "--learning-rate", "--width"] {
        let output = run(&[&usual[..], &[flag, "1"]].concat());
        assert_eq!(output.status.code(), Some(2), "{flag}");
    }
    assert_eq!(
        run(&[
            "train",
            "--data",
            &data,
            "--out",
            &out,
            "--preprocess",
            "timm"
        ])
        .status
        .code(),
        Some(2)
    );
}

#[test]
fn one_class_is_enough_to_train_and_says_so_little() {
    let folder = Folder::new();
    let data = classes(&folder, &["only"]);
    let (weights, out) = (folder.path("weights.safetensors"), folder.path("out"));
    random_weights(&weights, None, Labels::Unknown);
    let output = run(&[
        "train", "--head", "--data", &data, "--out", &out, "--init", &weights, "--json",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(lines(&output)[0]["accuracy"], 1.0);
}

#[test]
fn training_warns_of_copies_between_its_parts() {
    let folder = Folder::new();
    let data = classes(&folder, &["a", "b"]);
    let photo = image::open(folder.path("data/train/a/2.png")).unwrap();
    for (name, side) in [("1.jpg", 96), ("2.jpg", 150)] {
        let again = photo.resize_exact(side, side, image::imageops::FilterType::Triangle);
        again
            .save(folder.path(&format!("data/test/a/{name}")))
            .unwrap();
    }
    let out = folder.path("out");
    let output = run(&[
        "train",
        "--data",
        &data,
        "--out",
        &out,
        "--width",
        "0.25",
        "--resolution",
        "32",
        "--batch-size",
        "4",
        "--steps",
        "1",
    ]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning: 2 of 6 test photos are copies of training photos"),
        "{said}"
    );
    assert!(
        said.contains("test/a/1.jpg is ") && said.contains("train/a/2.png"),
        "{said}"
    );
}

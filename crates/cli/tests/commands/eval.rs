//! `eval` finds the classes of the data among those of the weights by name, or refuses.

use crate::support::{Folder, lines, random_weights, run, stderr, stdout, write_photo};
use mobilenet::model::labels::Labels;
use serde_json::Value;

/// Class folders with three photos each.
fn class_folders(folder: &Folder, data: &str, classes: &[&str]) -> String {
    for (class, name) in (0..).zip(classes) {
        for photo in 0..3 {
            write_photo(
                folder.path(&format!("{data}/{name}/{photo}.png")),
                class * 3 + photo,
            );
        }
    }
    folder.path(data)
}

fn imagenet(folder: &Folder) -> String {
    let path = folder.path("imagenet.safetensors");
    random_weights(&path, Some(1001), Labels::ImageNet);
    path
}

/// Evaluates; returns the line, what was said, and the rows of the predictions.
fn eval(folder: &Folder, weights: &str, data: &str, more: &[&str]) -> (Value, String, Vec<String>) {
    let csv = folder.path("predictions.csv");
    let usual = [
        "eval",
        "--weights",
        weights,
        "--data",
        data,
        "--json",
        "--predictions",
        &csv,
    ];
    let output = run(&[&usual[..], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(&csv).unwrap();
    let mut rows = text.lines().map(str::to_string);
    let head = "photo,class,label,predicted_class,predicted_label,probability";
    assert_eq!(rows.next().unwrap(), head);
    (lines(&output)[0].clone(), stderr(&output), rows.collect())
}

fn refused(weights: &str, data: &str, more: &[&str]) -> String {
    let usual = ["eval", "--weights", weights, "--data", data, "--json"];
    let output = run(&[&usual[..], more].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "{}", stdout(&output));
    stderr(&output)
}

/// The classes in the rows of one folder.
fn class_of(rows: &[String], name: &str) -> String {
    let in_folder = rows.iter().find(|row| row.contains(&format!("/{name}/")));
    in_folder.unwrap().split(',').nth(1).unwrap().to_string()
}

#[test]
fn labels_and_ids_are_found_wherever_they_stand() {
    let folder = Folder::new();
    let weights = imagenet(&folder);
    let names = ["n02124075", "tabby", "zebra", "golden_retriever"];
    let data = class_folders(&folder, "val", &names);
    let (line, said, rows) = eval(&folder, &weights, &data, &[]);
    for (name, class) in names.iter().zip(["286", "282", "341", "208"]) {
        assert_eq!(class_of(&rows, name), class);
    }
    assert!(
        said.contains("the data has 4 of the weights' 1001 classes"),
        "{said}"
    );
    assert_eq!((&line["images"], &line["classes"]), (&12.into(), &4.into()));
    let right = |row: &&String| row.split(',').nth(1) == Some(predicted(row));
    let right = rows.iter().filter(right);
    let share = right.count() as f64 / 12.0;
    assert!((line["accuracy"].as_f64().unwrap() - share).abs() < 1e-12);
    // Among fewer answers, no fewer are right.
    assert!(line["restricted_accuracy"].as_f64() >= line["accuracy"].as_f64());
    assert!(line["restricted_recall_5"] == 1.0);

    // Imagenette's folders: a part `val` beside `train`, or alone.
    let parts = folder.path("");
    let (same, ..) = eval(&folder, &weights, &parts, &[]);
    assert_eq!(same["accuracy"], line["accuracy"]);
}

/// The predicted class of a row, whose labels may hold commas in quotes.
fn predicted(row: &str) -> &str {
    let mut quoted = false;
    let outside = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    row.split(outside).nth(3).unwrap()
}

#[test]
fn a_few_classes_of_a_model_are_not_its_first() {
    let folder = Folder::new();
    let weights = folder.path("own.safetensors");
    let names = ["daisy", "iris", "rose", "tulip"]
        .map(String::from)
        .to_vec();
    random_weights(&weights, Some(4), Labels::Names(names));
    let all = class_folders(&folder, "all", &["daisy", "iris", "rose", "tulip"]);
    let (whole, said, every) = eval(&folder, &weights, &all, &[]);
    assert!(whole["classes"].is_null() && said.is_empty(), "{said}");
    for class in ["daisy", "iris"] {
        std::fs::remove_dir_all(folder.path(&format!("all/{class}"))).unwrap();
    }
    let (line, _, some) = eval(&folder, &weights, &all, &[]);
    assert_eq!(line["classes"], 2);
    assert!(some.iter().all(|row| every.contains(row)) && some.len() == 6);
}

#[test]
fn unknown_and_ambiguous_names_are_listed() {
    let folder = Folder::new();
    let weights = imagenet(&folder);
    let data = class_folders(&folder, "data", &["crane", "gryphon", "n99999999", "zebra"]);
    let said = refused(&weights, &data, &[]);
    for part in [
        "2 unknown: `gryphon`, `n99999999`",
        "`crane` (135 crane; 518 crane)",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let data = class_folders(&folder, "twice", &["tabby", "tabby_cat"]);
    assert!(refused(&weights, &data, &[]).contains("`tabby` and `tabby_cat`"));
}

#[test]
fn numbers_in_both_numberings() {
    let folder = Folder::new();
    let weights = imagenet(&folder);
    let data = class_folders(&folder, "v2", &["0", "17"]);
    let (_, said, rows) = eval(&folder, &weights, &data, &[]);
    assert_eq!(
        (class_of(&rows, "0"), class_of(&rows, "17")),
        ("1".into(), "18".into())
    );
    assert!(
        said.contains("without the weights' background class"),
        "{said}"
    );
    let (_, _, rows) = eval(&folder, &weights, &data, &["--label-offset", "0"]);
    assert_eq!(class_of(&rows, "17"), "17");
    let data = class_folders(&folder, "own", &["5", "17"]);
    let (_, said, rows) = eval(&folder, &weights, &data, &[]);
    assert_eq!(class_of(&rows, "17"), "17");
    assert!(said.contains("--label-offset 1"), "{said}");
    let data = class_folders(&folder, "both", &["0", "1000"]);
    assert!(refused(&weights, &data, &[]).contains("--label-offset"));
    let data = class_folders(&folder, "names", &["zebra", "tabby"]);
    assert!(refused(&weights, &data, &["--label-offset", "1"]).contains("these have names"));
}

#[test]
fn a_list_of_class_numbers() {
    let folder = Folder::new();
    let weights = imagenet(&folder);
    for photo in 0..3 {
        write_photo(folder.path(&format!("flat/{photo}.png")), photo);
    }
    let list = folder.path("labels.txt");
    std::fs::write(&list, "286\n1000\n7\n").unwrap();
    let (line, _, rows) = eval(
        &folder,
        &weights,
        &folder.path("flat"),
        &["--labels", &list],
    );
    assert_eq!(line["images"], 3);
    let classes: Vec<_> = rows
        .iter()
        .map(|row| row.split(',').nth(1).unwrap())
        .collect();
    assert_eq!(classes, ["286", "1000", "7"]);
    std::fs::write(&list, "286\n1001\n7\n").unwrap();
    assert!(refused(&weights, &folder.path("flat"), &["--labels", &list]).contains("`1001`"));
}

#[test]
fn position_only_without_labels_and_with_a_warning() {
    let folder = Folder::new();
    let weights = folder.path("unlabelled.safetensors");
    random_weights(&weights, Some(3), Labels::Unknown);
    let data = class_folders(&folder, "data", &["c", "a", "b"]);
    let (_, said, rows) = eval(&folder, &weights, &data, &[]);
    assert!(
        said.contains("warning: the weights have no labels"),
        "{said}"
    );
    assert_eq!(class_of(&rows, "b"), "1");
    std::fs::remove_dir_all(folder.path("data/b")).unwrap();
    let said = refused(&weights, &data, &[]);
    assert!(said.contains("3 classes where the data has 2"), "{said}");
}

#[test]
fn a_report_has_the_weights_names() {
    let folder = Folder::new();
    let weights = imagenet(&folder);
    let data = class_folders(&folder, "data", &["n02124075", "zebra"]);
    let report = folder.path("report");
    eval(&folder, &weights, &data, &["--report", &report]);
    let page = std::fs::read_to_string(format!("{report}/report.html")).unwrap();
    for part in [
        "<h1>imagenet.safetensors on data</h1>\n",
        "<tr><td>Egyptian cat</td><td class=\"number\">3</td>",
        "<th>Egyptian cat</th>",
        "<img alt=\"\" src=\"data:image/png;base64,",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(
        !page.contains("<svg"),
        "an evaluation has no curves: {page}"
    );
}

#[test]
fn folders_that_are_no_data() {
    let folder = Folder::new();
    let weights = imagenet(&folder);
    std::fs::create_dir_all(folder.path("empty/zebra")).unwrap();
    assert!(refused(&weights, &folder.path("empty"), &[]).contains("zebra: expected photos"));
    assert!(refused(&weights, &folder.path("none"), &[]).contains("neither"));
    let headless = folder.path("headless.safetensors");
    random_weights(&headless, None, Labels::Unknown);
    assert!(refused(&headless, &folder.path("empty"), &[]).contains("has no classifier"));
}

//! Photos with boxes in the three formats, in the layouts that people have, and broken on purpose.

use std::path::Path;

use mobilenet_data::annotations::{AnnotatedPhotos, open, open_test};
use mobilenet_data::{DataError, Photo, Splits};
use proptest::prelude::*;
use tempfile::TempDir;

fn write(dir: &TempDir, name: &str, text: impl AsRef<[u8]>) {
    let path = dir.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A photo of 40 rows and 80 columns.
fn photo(dir: &TempDir, name: &str) {
    write(dir, name, []);
    Photo::from_pixel(80, 40, [9, 9, 9].into())
        .save(dir.path().join(name))
        .unwrap();
}

fn voc(objects: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<annotation><folder>f</folder><filename>C:\\x\\other.png</filename>\
         <size><width>80</width><height>40</height><depth>3</depth></size>{objects}</annotation>"
    )
}

fn object(class: &str, [left, top, right, bottom]: [i32; 4], difficult: u8) -> String {
    format!(
        "<object><name>{class}</name><pose>x</pose><difficult>{difficult}</difficult><bndbox>\
         <xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox>\
         <part><name>head</name></part></object>"
    )
}

/// Class name, and corners as shares of a photo of 40 x 80.
fn shares(data: &AnnotatedPhotos, index: usize) -> Vec<(String, [f64; 4])> {
    let name = |class: usize| data.class_names()[class].clone();
    let objects = data.shares(index, [40, 80]).into_iter();
    objects
        .map(|object| (name(object.class), object.corners))
        .collect()
}

/// The two boxes of photo `a` in every format.
fn expected() -> Vec<(String, [f64; 4])> {
    vec![
        ("dog".to_string(), [0.25, 0.125, 0.5, 0.75]),
        ("cat".to_string(), [0.0, 0.0, 1.0, 0.5]),
    ]
}

fn check(parts: &Splits<AnnotatedPhotos>, classes: &[&str]) {
    assert_eq!(parts.train.class_names(), classes);
    assert_eq!(parts.test.class_names(), classes);
    assert_eq!((parts.train.len(), parts.test.len()), (1, 1));
    assert_eq!(shares(&parts.train, 0), expected());
    assert_eq!(shares(&parts.test, 0), []);
    assert!(
        parts.train.name(0).ends_with("a.png"),
        "{}",
        parts.train.name(0)
    );
    assert_eq!(parts.train.load(0).unwrap().height(), 40);
}

fn voc_objects() -> String {
    object("dog", [10, 10, 60, 20], 1) + &object("cat", [0, 0, 40, 40], 0)
}

#[test]
fn voc_with_image_sets() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        photo(&dir, &format!("JPEGImages/{name}.png"));
    }
    write(&dir, "Annotations/a.xml", voc(&voc_objects()));
    write(&dir, "Annotations/b.xml", voc(""));
    write(&dir, "ImageSets/Main/trainval.txt", "a\nb\n");
    write(&dir, "ImageSets/Main/test.txt", "b\n");
    let parts = open(dir.path()).unwrap();
    check(&parts, &["cat", "dog"]);
    let [dog, cat] = parts.train.pixels(0, [40, 80])[..] else {
        panic!("two boxes");
    };
    assert_eq!(
        (dog.corners, dog.difficult),
        ([10.0, 10.0, 20.0, 60.0], true)
    );
    assert!(!cat.difficult && !cat.crowd);
}

#[test]
fn voc_beside_the_photos() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..10 {
        photo(&dir, &format!("{number}.png"));
        write(
            &dir,
            &format!("{number}.xml"),
            voc(&object("x", [0, 0, 8, 8], 0)),
        );
    }
    let parts = open(dir.path()).unwrap();
    assert_eq!((parts.train.len(), parts.test.len()), (8, 2));
    assert!(parts.test.name(0).ends_with("4.png"));
    assert_eq!(open_test(dir.path()).unwrap().len(), 10);
}

const COCO: &str = r#"{"info": {}, "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
    "images": [{"id": 7, "file_name": "a.png", "height": 40, "width": 80}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 18, "bbox": [10, 10, 50, 10], "area": 321.5, "iscrowd": 0,
         "segmentation": [[1, 2, 3, 4]]},
        {"id": 2, "image_id": 7, "category_id": 17, "bbox": [0, 0, 40, 40], "iscrowd": 1}]}"#;
const EMPTY: &str = r#"{"categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    "images": [{"id": 7, "file_name": "b.png"}], "annotations": []}"#;

#[test]
fn coco_in_folders_and_in_annotations() {
    let dir = tempfile::tempdir().unwrap();
    photo(&dir, "train/a.png");
    photo(&dir, "valid/b.png");
    write(&dir, "train/_annotations.coco.json", COCO);
    write(&dir, "valid/_annotations.coco.json", EMPTY);
    check(&open(dir.path()).unwrap(), &["cat", "dog"]);

    let dir = tempfile::tempdir().unwrap();
    photo(&dir, "train2017/a.png");
    photo(&dir, "val2017/b.png");
    write(&dir, "annotations/instances_train2017.json", COCO);
    write(&dir, "annotations/instances_val2017.json", EMPTY);
    let parts = open(dir.path()).unwrap();
    check(&parts, &["cat", "dog"]);
    let objects = parts.train.pixels(0, [40, 80]);
    assert_eq!((objects[0].area, objects[0].crowd), (Some(321.5), false));
    assert_eq!((objects[1].area, objects[1].crowd), (None, true));
}

const YOLO: &str = "1 0.4375 0.375 0.625 0.25\n\n0 0.25 0.5 0.5 1.0\n";

#[test]
fn yolo_in_both_layouts_and_all_lists_of_names() {
    for (index, (name, names)) in [
        ("data.yaml", "train: x\nnames: ['cat', \"dog\"]\n"),
        ("data.yaml", "names:\n  0: cat\n  1: dog\nnc: 2\n"),
        ("dataset.yaml", "names:\n- cat\n- dog\n"),
        ("classes.txt", "cat\ndog\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let dir = tempfile::tempdir().unwrap();
        let [train, test] = match index % 2 {
            0 => [
                ["images/train", "labels/train"],
                ["images/val", "labels/val"],
            ],
            _ => [
                ["train/images", "train/labels"],
                ["test/images", "test/labels"],
            ],
        };
        photo(&dir, &format!("{}/a.png", train[0]));
        photo(&dir, &format!("{}/b.png", test[0]));
        write(&dir, &format!("{}/a.txt", train[1]), YOLO);
        write(&dir, &format!("{}/b.txt", test[1]), "");
        write(&dir, name, names);
        check(&open(dir.path()).unwrap(), &["cat", "dog"]);
    }
}

#[test]
fn a_photo_of_another_shape_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    photo(&dir, "a.png");
    write(
        &dir,
        "a.json",
        COCO.replace("\"height\": 40", "\"height\": 100"),
    );
    let error = open_test(dir.path()).unwrap().load(0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected 100 rows, 80 columns, found 40 rows"),
        "{error}"
    );
}

fn error(name: &str, text: impl AsRef<[u8]>) -> String {
    let dir = tempfile::tempdir().unwrap();
    photo(&dir, "a.png");
    write(&dir, name, text);
    error_of(dir.path()).to_string()
}

fn error_of(dir: &Path) -> DataError {
    open_test(dir).expect_err("an error")
}

#[test]
fn broken_files_are_named() {
    let voc_error = |objects: &str| error("a.xml", voc(objects));
    for (found, expected) in [
        (
            error("a.xml", "<annotation>"),
            "a.xml: expected an XML file",
        ),
        (
            error("a.xml", "<a>".repeat(300_000)),
            "a.xml: expected an XML file",
        ),
        (
            error("a.xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>"),
            "a.xml: expected an XML file",
        ),
        (error("a.xml", [0xff, 0xfe, 0]), "cannot read"),
        (
            voc_error("<object></object>"),
            "expected the name of an object",
        ),
        (
            voc_error("<object><name>x</name></object>"),
            "expected a `bndbox`",
        ),
        (
            voc_error(&object("x", [9, 0, 3, 5], 0)),
            "a box whose top left corner comes first, found rows 0 to 5, columns 9 to 3",
        ),
        (
            voc_error(&object("x", [0, 0, 3, 5], 0).replace(">3<", ">NaN<")),
            "a box whose top left corner",
        ),
        (
            voc_error(&object("x", [0, 0, 3, 5], 0).replace(">3<", ">wide<")),
            "expected a number for `xmax`, found `wide`",
        ),
        (
            error("b.xml", voc("")),
            "expected a photo of the file's name, found",
        ),
        (
            error("a.json", "{}"),
            "a.json: expected images, annotations",
        ),
        (
            error("a.json", COCO.replace("[0, 0, 40, 40]", "[0, 0, -4, 4]")),
            "annotation 1: expected a box",
        ),
        (
            error("a.json", COCO.replace("[0, 0, 40, 40]", "[0, 0, 4]")),
            "invalid length 3",
        ),
        (
            error(
                "a.json",
                COCO.replace("\"category_id\": 17", "\"category_id\": 3"),
            ),
            "the id of a category, found 3",
        ),
        (
            error("a.json", COCO.replace("\"image_id\": 7", "\"image_id\": 8")),
            "the id of an image, found 8",
        ),
        (
            error("a.txt", "0 0.5 0.5 0.1"),
            "a.txt, line 1: expected a class and four numbers",
        ),
        (
            error("a.txt", "0 0.5 0.5 0.1 0.1\n-1 0.5 0.5 0.1 0.1"),
            "a.txt, line 2",
        ),
        (
            error("a.txt", "999999999999 0.5 0.5 0.1 0.1"),
            "a.txt, line 1",
        ),
        (
            error("a.txt", "0 0.5 0.5 inf 0.1"),
            "a box whose top left corner",
        ),
        (
            error("b", ""),
            "expected photos with VOC's .xml, COCO's .json or YOLO's .txt",
        ),
    ] {
        assert!(found.contains(expected), "{found}\n  lacks: {expected}");
    }
}

proptest! {
    /// Whatever stands in a file is read or refused.
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}", ending in 0..3usize) {
        let dir = tempfile::tempdir().unwrap();
        photo(&dir, "a.png");
        let ending = ["xml", "json", "txt"][ending];
        write(&dir, &format!("a.{ending}"), text);
        if let Ok(data) = open_test(dir.path()) {
            prop_assert!(!data.class_names().is_empty());
        }
    }
}

//! Attributes, embeddings and places: losses and metrics against PyTorch and scikit-learn, cells against
//! S2 (`golden/heads.py`, `golden/places.py`), and lists that are broken on purpose.

use std::path::PathBuf;
use std::sync::Arc;

use super::losses::Expected;
use crate::support::golden;
use mobilenet_train::data::{
    DataError, ImageDataset, MOST_TARGETS, TargetPhotos, Targets, attributes, pairs, vectors,
};
use mobilenet_train::loss::{contrastive, direction_difference, sigmoid_cross_entropy};
use mobilenet_train::metrics::{AttributeMetrics, Verification, average_precision};
use mobilenet_train::places::{
    self, Cell, DistanceMetrics, Partition, PartitionLimits, Place, kilometres,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    width: usize,
    outputs: Vec<f32>,
    targets: Vec<f32>,
    known: Vec<bool>,
    labels: Vec<u32>,
    vectors: Vec<f32>,
    sigmoid: Expected,
    sigmoid_of_known: Expected,
    direction: Expected,
    contrast: Vec<Contrast>,
    scores: Vec<f32>,
    positive: Vec<bool>,
    average_precision: f64,
    area: f64,
    true_accepts: Vec<Accepts>,
}

#[derive(Deserialize)]
struct Contrast {
    temperature: f64,
    #[serde(flatten)]
    torch: Expected,
}

#[derive(Deserialize)]
struct Accepts {
    rate: f64,
    share: f64,
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    let golden: Golden = golden("heads.json");
    let (outputs, width) = (&golden.outputs, golden.width);
    let mut gradient = vec![f32::NAN; outputs.len()];
    let loss = sigmoid_cross_entropy(outputs, &golden.targets, width, &mut gradient).unwrap();
    golden.sigmoid.check("sigmoid", &loss, &gradient);
    let known = golden.targets.iter().zip(&golden.known);
    let known: Vec<f32> = known
        .map(|(&one, &is)| if is { one } else { f32::NAN })
        .collect();
    let loss = sigmoid_cross_entropy(outputs, &known, width, &mut gradient).unwrap();
    golden.sigmoid_of_known.check("known", &loss, &gradient);
    let loss = direction_difference(outputs, &golden.vectors, width, &mut gradient).unwrap();
    golden.direction.check("direction", &loss, &gradient);
    assert_eq!(golden.contrast.len(), 2);
    for expected in &golden.contrast {
        let temperature = expected.temperature;
        let loss = contrastive(outputs, &golden.labels, width, temperature, &mut gradient).unwrap();
        expected.torch.check("contrast", &loss, &gradient);
    }
}

#[test]
fn losses_refuse_what_does_not_fit_and_show_what_is_not_finite() {
    let mut gradient = [0.0; 4];
    let logits = [f32::NAN, 0.0, 1.0, 2.0];
    let loss = sigmoid_cross_entropy(&logits, &[0.5; 4], 2, &mut gradient).unwrap();
    assert!(loss.mean.is_nan());
    let loss = contrastive(&logits, &[1, 1], 2, 0.1, &mut gradient).unwrap();
    assert!(loss.mean.is_nan());
    // A row of zeros has no direction, and nobody to learn from is nothing to learn.
    let loss = contrastive(&[0.0; 4], &[1, 2], 2, 0.1, &mut gradient).unwrap();
    assert_eq!((loss.mean, gradient), (0.0, [0.0; 4]));
    assert!(sigmoid_cross_entropy(&logits, &[0.5; 3], 2, &mut gradient).is_err());
    assert!(direction_difference(&logits, &[0.5; 4], 3, &mut gradient).is_err());
    assert!(contrastive(&logits, &[1], 2, 0.1, &mut gradient).is_err());
    let error = contrastive(&logits, &[1, 1], 2, 0.0, &mut gradient).unwrap_err();
    assert!(error.to_string().contains("temperature"), "{error}");
}

#[test]
fn metrics_are_scikit_learns() {
    let golden: Golden = golden("heads.json");
    let examples = golden
        .scores
        .iter()
        .copied()
        .zip(golden.positive.iter().copied());
    let examples: Vec<(f32, bool)> = examples.collect();
    let found = average_precision(&examples).unwrap();
    assert!((found - golden.average_precision).abs() < 1e-12, "{found}");
    // The same with soft targets, some of which are not known.
    let soft = examples
        .iter()
        .map(|&(score, is)| (score, if is { 0.5 } else { 0.49 }));
    let soft = soft.chain([(100.0, f32::NAN)]);
    let metrics = AttributeMetrics::new("hat".into(), soft);
    assert_eq!(
        (metrics.photos, metrics.average_precision),
        (400, Some(found))
    );
    let of = |wanted| {
        let scores = examples.iter().filter(|(_, is)| *is == wanted);
        scores.map(|(score, _)| *score).collect::<Vec<f32>>()
    };
    let pairs = Verification::new(of(true), of(false)).unwrap();
    assert!((pairs.area() - golden.area).abs() < 1e-12);
    for accepts in &golden.true_accepts {
        let found = pairs.true_accepts(accepts.rate).unwrap();
        assert!(
            (found - accepts.share).abs() < 1e-12,
            "{}: {found}",
            accepts.rate
        );
    }
    assert_eq!(pairs.true_accepts(1e-4), None);
    assert_eq!(pairs.true_accepts(1.0), Some(1.0));
    let points = pairs.points(50);
    let trapezes = points.windows(2).map(|two| {
        let [[x, y], [to_x, to_y]] = [two[0], two[1]];
        (to_x - x) * (y + to_y) / 2.0
    });
    assert!((trapezes.sum::<f64>() - golden.area).abs() < 0.02);
    assert!(Verification::new(vec![1.0], vec![]).is_err());
    assert!(Verification::new(vec![f32::NAN], vec![1.0]).is_err());
}

#[derive(Deserialize)]
struct Earth {
    places: Vec<[f64; 2]>,
    leaves: Vec<String>,
    least: usize,
    most: usize,
    cells: Vec<String>,
    levels: Vec<u32>,
    centres: Vec<[f64; 2]>,
    inside: Vec<Option<usize>>,
    kilometres: Vec<f64>,
}

#[test]
fn cells_and_distances_are_s2s() {
    let golden: Earth = golden("places.json");
    let places: Vec<Place> = golden
        .places
        .iter()
        .map(|&[latitude, longitude]| Place::new(latitude, longitude).unwrap())
        .collect();
    for (place, token) in places.iter().zip(&golden.leaves) {
        assert_eq!(Cell::of(*place).token(), *token, "{place:?}");
        assert_eq!(Cell::of_token(token), Some(Cell::of(*place)));
    }
    let limits = PartitionLimits {
        least: golden.least,
        most: golden.most,
    };
    let partition = Partition::new(&places, limits).unwrap();
    assert_eq!(partition.names(), golden.cells);
    assert_eq!(Partition::of_names(&golden.cells).unwrap(), partition);
    let found: Vec<Option<usize>> = places.iter().map(|&place| partition.find(place)).collect();
    assert_eq!(found, golden.inside);
    let centres = partition
        .cells()
        .iter()
        .zip(&golden.centres)
        .zip(&golden.levels);
    for ((cell, &[latitude, longitude]), &level) in centres {
        let centre = cell.centre();
        assert_eq!(cell.level(), level);
        assert!((centre.latitude - latitude).abs() < 1e-9, "{centre:?}");
        assert!((centre.longitude - longitude).abs() < 1e-9, "{centre:?}");
    }
    for (pair, expected) in places.windows(2).zip(&golden.kilometres) {
        assert!((kilometres(pair[0], pair[1]) - expected).abs() < 1e-3);
    }
    // The same place many times cannot be divided for ever.
    let one = Partition::new(&[places[0]; 9], PartitionLimits { least: 1, most: 2 }).unwrap();
    assert_eq!((one.cells().len(), one.cells()[0].level()), (1, 30));
    assert!(
        Partition::new(
            &places,
            PartitionLimits {
                least: 10_000,
                most: 20_000
            }
        )
        .is_err()
    );
    for names in [
        &["89c25"][..],
        &["1", "1"],
        &["5", "1"],
        &["zz"],
        &[""],
        &["d"],
        &["4"],
    ] {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let is_cell = names == ["89c25"];
        assert_eq!(Partition::of_names(&names).is_ok(), is_cell, "{names:?}");
    }
    let metrics = DistanceMetrics::new(vec![3000.0, 0.5, 30.0, 1.0]);
    assert_eq!(metrics.within, [0.5, 0.5, 0.75, 0.75, 0.75]);
    assert_eq!(metrics.median_km, Some(15.5));
    assert_eq!(DistanceMetrics::new(vec![]).median_km, None);
}

/// A list in a folder of its own.
struct List {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl List {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        std::fs::write(&path, text).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn attributes(&self) -> Result<TargetPhotos, DataError> {
        attributes::open(&self.path, None)
    }
}

fn rows(photos: &TargetPhotos) -> Vec<Vec<f32>> {
    let rows = photos.targets().unwrap().rows();
    rows.map(<[f32]>::to_vec).collect()
}

#[test]
fn attributes_are_columns_or_lists() {
    let list = List::new("\u{feff}photo,hat,\"glasses, dark\"\n\na.jpg,0.25,1\nb.jpg,,0\n");
    let photos = list.attributes().unwrap();
    assert_eq!(photos.class_names(), ["hat", "glasses, dark"]);
    assert_eq!(rows(&photos)[0], [0.25, 1.0]);
    assert!(rows(&photos)[1][0].is_nan() && rows(&photos)[1][1] == 0.0);
    assert_eq!((photos.len(), photos.label(1)), (2, 1));
    assert_eq!(
        PathBuf::from(photos.name(1)),
        list.path.with_file_name("b.jpg")
    );
    let turned = ["glasses, dark".to_string(), "hat".to_string()];
    let turned = attributes::open(&list.path, Some(&turned)).unwrap();
    assert_eq!(rows(&turned)[0], [1.0, 0.25]);

    let list = List::new("photo,labels\na.jpg,sea | sand\nb.jpg,\nc.jpg,sea\n");
    let photos = list.attributes().unwrap();
    assert_eq!(photos.class_names(), ["sand", "sea"]);
    assert_eq!(rows(&photos), [[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]);

    let list = List::new("photo,x,y\na.jpg,3,-4\n");
    assert!(vectors::has_vectors(&list.path).unwrap());
    assert_eq!(rows(&vectors::open(&list.path).unwrap()), [[0.6, -0.8]]);

    let list = List::new("photo,other,same\na,b,1\nb,c,0\n");
    let found = pairs::open(&list.path).unwrap().unwrap();
    assert_eq!(found.photos.len(), 3);
    assert_eq!(found.pairs[1].photos, [1, 2]);
    assert!(found.pairs[0].is_same && !found.pairs[1].is_same);
}

#[test]
fn broken_lists_name_the_place() {
    let attributes = |text: &str| List::new(text).attributes().unwrap_err().to_string();
    for (text, expected) in [
        ("", "line 1: expected `photo,labels`"),
        ("photo,hat\n", "line 2: expected a photo, found none"),
        ("photo,hat\na,1\nb\n", "line 3: expected 2 fields, found 1"),
        (
            "photo,hat\na,1.5\n",
            "line 2: expected a probability from 0 to 1, or nothing, in column `hat`, found `1.5`",
        ),
        ("photo,hat\na,NaN\n", "found `NaN`"),
        ("photo,hat,hat\na,1,1\n", "a name twice"),
        (
            "photo,hat\n\"a,1\n",
            "line 2: expected fields in whole quotes",
        ),
        ("photo,labels\na,\n", "none on all lines"),
    ] {
        let error = attributes(text);
        assert!(error.contains(expected), "{error}");
    }
    let list = List::new("photo,labels\na,sea\n");
    let error = attributes::open(&list.path, Some(&["sand".into()]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2: expected attributes of the training"),
        "{error}"
    );
    for (text, expected) in [
        ("photo,x,y\na,0,0\n", "a vector with a direction"),
        ("photo,x,y\na,1e300,1e300\n", "a vector with a direction"),
        (
            "photo,x,y\na,1,inf\n",
            "a number in column `y`, found `inf`",
        ),
    ] {
        let error = vectors::open(&List::new(text).path)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    for (text, expected) in [
        ("photo,x,y\na,1,2\n", "expected `photo,latitude,longitude`"),
        (
            "photo,lat,lon\na,91,2\n",
            "degrees on earth in column `lat`, found `91`",
        ),
        ("photo,lat,lng\na,1,181\n", "in column `lng`"),
    ] {
        let error = places::open(&List::new(text).path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = pairs::open(&List::new("a,b,same\nx,y,yes\n").path).unwrap_err();
    assert!(
        error.to_string().contains("1 or 0 in column `same`"),
        "{error}"
    );
    // Columns and lines cost a byte each, their product would not.
    let error = Targets::unknown("list", MOST_TARGETS, 2)
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than the limit"), "{error}");
    assert!(Targets::unknown("list", usize::MAX, usize::MAX).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Anything is an error or rows of the right width.
    #[test]
    fn no_list_panics(text in "[ab,\"|0-9.\n\u{e9}-]{0,60}", start in 0usize..4) {
        let heads = ["", "photo,labels\n", "a,lat,lon\n", "a,b,same\n"];
        let list = List::new(format!("{}{text}", heads[start]));
        if let Ok(photos) = list.attributes() {
            let targets: &Arc<Targets> = photos.targets().unwrap();
            prop_assert_eq!(targets.rows().count(), photos.len());
        }
        let _ = vectors::open(&list.path);
        let _ = places::open(&list.path);
        let _ = pairs::open(&list.path);
    }
}

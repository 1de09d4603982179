//! Attributes and embeddings by several ranks, as threads: the files and the measures of one rank.

use std::path::Path;
use std::sync::Arc;

use mobilenet_model::Head;
use mobilenet_model::initialize::initial_parameters;
use mobilenet_train::data::{ImageDataset, OpenData, attributes, csv, vectors};
use mobilenet_train::heads::HeadMetrics;
use mobilenet_train::recipe::Target;

use super::case::{Case, Stripes, model, on_ranks, problem};

const PHOTOS: usize = 32;

/// Photos of stripes, all but the last nine for training, and a list of each part.
fn lists(folder: &Path, header: &str, row: impl Fn(usize) -> String) -> [std::path::PathBuf; 2] {
    let stripes = Stripes::new(PHOTOS);
    let list = |name: &str, photos: std::ops::Range<usize>| {
        let mut text = format!("{header}\n");
        for photo in photos {
            let file = folder.join(format!("{photo}.png"));
            stripes.load(photo).unwrap().save(&file).unwrap();
            text += &format!("{photo}.png,{}\n", row(photo));
        }
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    [
        list("train.csv", 0..PHOTOS - 9),
        list("test.csv", PHOTOS - 9..PHOTOS),
    ]
}

fn data<T: ImageDataset + 'static>(
    lists: &[std::path::PathBuf],
    open: impl Fn(&Path) -> T,
) -> OpenData {
    let [train, test] = [0, 1].map(|part| Arc::new(open(&lists[part])));
    OpenData {
        train,
        test: Some(test),
    }
}

/// A training of four steps in four shards of four photos.
fn case(out: &Path, data: OpenData, head: Head, outputs: Option<usize>, target: Target) -> Case {
    let mut case = Case::new(out, 4);
    case.data = data;
    (
        case.recipe.batch_size,
        case.recipe.steps,
        case.recipe.target,
    ) = (16, 4, target);
    let metadata = &mut case.initial.metadata;
    (metadata.head, metadata.classes) = (head, outputs);
    case.initial.parameters = initial_parameters(&metadata.config(), 3).unwrap();
    case
}

#[test]
fn heads_have_the_same_files_and_measures_on_any_number_of_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let lists_of_attributes = lists(&at("attributes"), "photo,wide,odd", |photo| {
        let odd = ["0", "1", "0.25", ""][photo % 4];
        format!("{},{odd}", u8::from(photo % 3 == 2))
    });
    let of_vectors = lists(&at("vectors"), "photo,a,b,c", |photo| {
        format!("{},1,{}", photo % 3, photo % 2)
    });
    let of_labels = lists(&at("labels"), "path,label", |photo| (photo % 3).to_string());
    let with_attributes = || {
        data(&lists_of_attributes, |list| {
            attributes::open(list, None).unwrap()
        })
    };
    let with_vectors = || data(&of_vectors, |list| vectors::open(list).unwrap());
    let with_labels = || data(&of_labels, |list| csv::open(list, None).unwrap());
    type Cases<'a> = [(
        &'a str,
        &'a (dyn Fn() -> OpenData + Sync),
        Head,
        Option<usize>,
        Target,
    ); 4];
    let cases: Cases<'_> = [
        (
            "1",
            &with_attributes,
            Head::Attributes,
            Some(2),
            Target::Attributes,
        ),
        (
            "2",
            &with_vectors,
            Head::Embedding,
            Some(3),
            Target::Direction,
        ),
        (
            "3",
            &with_labels,
            Head::Embedding,
            Some(8),
            Target::CONTRAST,
        ),
        // Without a last layer.
        ("4", &with_labels, Head::Embedding, None, Target::CONTRAST),
    ];
    for (name, data, head, outputs, target) in cases {
        let mut expected: Option<(Vec<u8>, HeadMetrics)> = None;
        for ranks in [1, 2, 4] {
            let out = folder.path().join(format!("{name} {ranks}"));
            let mut outcomes = on_ranks(ranks, |_| case(&out, data(), head, outputs, target));
            assert!(
                outcomes
                    .iter()
                    .skip(1)
                    .all(|one| one.as_ref().unwrap().measured.is_none())
            );
            let measured = outcomes.swap_remove(0).unwrap().measured.unwrap();
            assert_eq!(measured.photos, 9);
            let found = (model(&out), measured.metrics);
            let expected = expected.get_or_insert_with(|| found.clone());
            assert!(*expected == found, "case {name}, {ranks} ranks");
        }
    }
    // A photo alone has no other to be contrasted with.
    let refused = on_ranks(1, |_| {
        let out = folder.path().join("refused");
        let mut case = case(
            &out,
            with_labels(),
            Head::Embedding,
            Some(8),
            Target::CONTRAST,
        );
        case.recipe.shards = 16;
        case
    });
    assert!(problem(&refused[0]).contains("contrasted with each other must be at least 2"));
}

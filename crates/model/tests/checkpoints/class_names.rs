//! Names of a data set's classes are found among those of weights, or listed.

use mobilenet_model::labels::{ClassMatch, Labels, MatchError, MatchedBy, Problems, match_classes};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn imagenet(folders: &[&str], offset: Option<usize>) -> Result<ClassMatch, MatchError> {
    match_classes(&names(folders), &Labels::ImageNet, 1001, offset)
}

fn own(labels: &[&str], folders: &[&str]) -> Result<ClassMatch, MatchError> {
    let labels = Labels::Names(names(labels));
    let Labels::Names(all) = &labels else {
        unreachable!()
    };
    match_classes(&names(folders), &labels, all.len(), None)
}

fn problems(result: Result<ClassMatch, MatchError>) -> Problems {
    match result.unwrap_err() {
        MatchError::Names { problems, .. } => problems,
        other => panic!("{other}"),
    }
}

#[test]
fn labels_synonyms_and_ids() {
    let found = imagenet(
        &["tabby", "EGYPTIAN-cat", "n02085620-Chihuahua", "tiger_cat"],
        None,
    );
    let found = found.unwrap();
    assert_eq!(found.classes, [282, 286, 152, 283]);
    assert_eq!(found.by, MatchedBy::Name);
    let without_background = match_classes(
        &names(&["n01440764", "great white shark"]),
        &Labels::for_classes(1000),
        1000,
        None,
    );
    assert_eq!(without_background.unwrap().classes, [0, 2]);
}

#[test]
fn duplicates_of_imagenet_are_ambiguous() {
    for (name, labels) in [
        ("crane", ["135 crane", "518 crane"]),
        ("maillot", ["639 maillot", "640 maillot, tank suit"]),
    ] {
        let problems = problems(imagenet(&[name, "tabby"], None));
        assert_eq!(
            problems.ambiguous,
            [(name.to_string(), labels.map(String::from).to_vec())]
        );
        assert!(problems.unknown.is_empty());
    }
    assert_eq!(
        imagenet(&["maillot, tank suit"], None).unwrap().classes,
        [640]
    );
    assert_eq!(
        imagenet(&["n03126707", "n02012849"], None).unwrap().classes,
        [518, 135]
    );
}

#[test]
fn own_labels_by_the_narrowest_reading() {
    assert_eq!(
        own(&["C", "C++", "C#"], &["C#", "C"]).unwrap().classes,
        [2, 0]
    );
    assert_eq!(own(&["Cat", "cat"], &["cat"]).unwrap().classes, [1]);
    assert_eq!(own(&["a, b", "a"], &["a", "a, b"]).unwrap().classes, [1, 0]);
    assert_eq!(problems(own(&["a, b", "a"], &["a"])).ambiguous.len(), 1);
    assert_eq!(problems(own(&["Cat", "cat"], &["CAT"])).ambiguous.len(), 1);
    assert_eq!(
        own(&["T-shirt/top"], &["T_shirt top"]).unwrap().classes,
        [0]
    );
    // Labels that are numbers are labels.
    let found = own(&["10", "5"], &["5"]).unwrap();
    assert_eq!((found.classes, found.by), (vec![1], MatchedBy::Name));
}

#[test]
fn what_does_not_fit_is_listed() {
    let found = problems(own(&["rose", "iris"], &["tulip", "rose", "Rose", "++"]));
    assert_eq!(found.unknown, ["tulip", "++"]);
    assert_eq!(found.same, [("rose".to_string(), "Rose".to_string())]);
    assert!(
        found
            .to_string()
            .contains("2 unknown: `tulip`, `++`; 1 that are the same")
    );
    let many: Vec<String> = (0..30).map(|i| format!("x{i}")).collect();
    let error = match_classes(&many, &Labels::ImageNet, 1001, None).unwrap_err();
    assert!(error.to_string().ends_with("`x9` and 20 more"), "{error}");
}

#[test]
fn numbers_in_either_numbering() {
    let number = |offset, assumed| MatchedBy::Number { offset, assumed };
    // ImageNet-V2: 0 to 999.
    let all: Vec<String> = (0..1000).map(|class| class.to_string()).collect();
    let found = match_classes(&all, &Labels::ImageNet, 1001, None).unwrap();
    assert_eq!((found.classes[0], found.by), (1, number(1, false)));
    let found = match_classes(&all, &Labels::ImageNet, 1000, None).unwrap();
    assert_eq!((found.classes[0], found.by), (0, number(0, false)));

    assert_eq!(imagenet(&["7", "1000"], None).unwrap().by, number(0, false));
    assert_eq!(imagenet(&["7", "8"], None).unwrap().by, number(0, true));
    assert_eq!(imagenet(&["7", "8"], Some(1)).unwrap().classes, [8, 9]);
    assert_eq!(imagenet(&["0", "1000"], None), Err(MatchError::Numbering));
    assert_eq!(
        imagenet(&["0", "1000"], Some(0)).unwrap().classes,
        [0, 1000]
    );
    assert_eq!(problems(imagenet(&["1001"], None)).unknown, ["1001"]);
    let largest = usize::MAX.to_string();
    assert_eq!(problems(imagenet(&[&largest], Some(1))).unknown, [largest]);
    assert_eq!(problems(own(&["a", "b"], &["1", "01"])).same.len(), 1);
}

#[test]
fn position_is_for_weights_without_labels_only() {
    let unknown =
        |folders: &[&str], classes| match_classes(&names(folders), &Labels::Unknown, classes, None);
    let found = unknown(&["b", "a"], 2).unwrap();
    assert_eq!((found.classes, found.by), (vec![0, 1], MatchedBy::Position));
    let error = unknown(&["b", "a"], 3).unwrap_err();
    assert_eq!(
        error,
        MatchError::NoLabels {
            names: 2,
            classes: 3
        }
    );
    assert_eq!(unknown(&["2", "0"], 3).unwrap().classes, [2, 0]);
}

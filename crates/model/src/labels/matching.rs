//! Names of a data set's classes -> classes of weights: by label, by WordNet id, by number.

use std::collections::HashMap;
use std::fmt;

use super::{IMAGENET_CLASSES, Labels, wordnet};

/// Most names of one kind that an error lists.
const LISTED: usize = 10;

/// The weights' class of each name, and how the names were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassMatch {
    /// By position in the list of names; no class comes twice.
    pub classes: Vec<usize>,
    /// How the names were read.
    pub by: MatchedBy,
}

/// How names were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchedBy {
    /// As labels or WordNet ids.
    Name,
    /// As numbers, to which `offset` was added.
    Number {
        /// 1 where the names leave out the weights' background class.
        offset: usize,
        /// Whether the names also fit another offset.
        assumed: bool,
    },
    /// Not at all: in their order, because the weights have no labels.
    Position,
}

/// Names that cannot be matched with the classes of weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// Some fit no class, or several.
    #[error("the data's classes are not among the {classes} known ones: {problems}")]
    Names {
        /// Number of the weights' classes.
        classes: usize,
        /// What is wrong with which name.
        problems: Problems,
    },
    /// The weights have no labels, and another number of classes.
    #[error(
        "the weights have no labels, and {classes} classes where the data has {names}: name the \
         classes by number, or store labels with `convert --labels`"
    )]
    NoLabels {
        /// Number of names.
        names: usize,
        /// Number of the weights' classes.
        classes: usize,
    },
    /// Numbers from 0 to 1000: with background, and without it.
    #[error(
        "the data's classes are numbered from 0 to 1000: say with --label-offset 1 or 0 whether 0 \
         is ImageNet's first class or the background"
    )]
    Numbering,
}

/// Names that fit no class, or that are not the only ones to fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    /// Names that fit no class.
    pub unknown: Vec<String>,
    /// Names with the labels that they fit.
    pub ambiguous: Vec<(String, Vec<String>)>,
    /// Two names of one class.
    pub same: Vec<(String, String)>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut part = |what: &str, names: Vec<String>| {
            if !names.is_empty() {
                let more = names.len().saturating_sub(LISTED);
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>();
                parts.push(format!(
                    "{} {what}: {}{more}",
                    names.len(),
                    shown.join(", ")
                ));
            }
        };
        part(
            "unknown",
            self.unknown
                .iter()
                .map(|name| format!("`{name}`"))
                .collect(),
        );
        let several = self.ambiguous.iter();
        let several = several.map(|(name, labels)| format!("`{name}` ({})", labels.join("; ")));
        part("that fit several", several.collect());
        let same = self.same.iter().map(|(a, b)| format!("`{a}` and `{b}`"));
        part("that are the same class", same.collect());
        f.write_str(&parts.join("; "))
    }
}

/// Finds the class of each name among `classes` classes with these labels.
///
/// * A label, or one of the synonyms that it lists between commas. Case is ignored, and so is what
///   stands between letters and digits: `Egyptian_cat` is `Egyptian cat`.
/// * With ImageNet's labels, a WordNet id, alone or before words: `n02124075-Egyptian_cat`.
/// * If all names are numbers, and no labels: class numbers, to which `offset` is added. Without
///   one it is 0, but 1 for weights with ImageNet's 1001 classes if the highest number is 999 or a
///   0 is among them, of which there are no photos: it is the background.
/// * If the weights have no labels, and as many classes as there are names: by position.
///
/// # Errors
/// Where a name fits no class or several, or two names fit one.
///
/// ```
/// use mobilenet_model::labels::{Labels, match_classes};
///
/// let names = ["n02124075", "golden_retriever"].map(String::from);
/// let found = match_classes(&names, &Labels::ImageNet, 1001, None)?;
/// assert_eq!(found.classes, [286, 208]);
/// let error = match_classes(&["crane".to_string()], &Labels::ImageNet, 1001, None);
/// assert!(error.is_err()); // the bird, or the machine
/// # Ok::<(), mobilenet_model::labels::MatchError>(())
/// ```
pub fn match_classes(
    names: &[String],
    labels: &Labels,
    classes: usize,
    offset: Option<usize>,
) -> Result<ClassMatch, MatchError> {
    let numbers: Option<Vec<usize>> = names.iter().map(|name| name.trim().parse().ok()).collect();
    let index = Index::new(labels, classes);
    let found: Vec<Vec<usize>> = names.iter().map(|name| index.find(name)).collect();
    let none = found.iter().all(Vec::is_empty);
    if let (Some(numbers), true) = (numbers, none || offset.is_some()) {
        return by_number(names, &numbers, labels, classes, offset);
    }
    if *labels == Labels::Unknown && none {
        return match names.len() == classes {
            true => Ok(ClassMatch {
                classes: (0..classes).collect(),
                by: MatchedBy::Position,
            }),
            false => Err(MatchError::NoLabels {
                names: names.len(),
                classes,
            }),
        };
    }
    let found = index.all_labels(names).unwrap_or(found);
    one_each(names, &found, classes, &index, MatchedBy::Name)
}

fn by_number(
    names: &[String],
    numbers: &[usize],
    labels: &Labels,
    classes: usize,
    offset: Option<usize>,
) -> Result<ClassMatch, MatchError> {
    let mut assumed = false;
    let offset = match offset {
        Some(offset) => offset,
        None if classes == IMAGENET_CLASSES && *labels != Labels::Unknown => {
            let last = classes - 1;
            match (numbers.contains(&0), numbers.iter().max()) {
                (true, Some(&highest)) if highest == last => return Err(MatchError::Numbering),
                (true, _) => 1,
                (false, Some(&highest)) => {
                    assumed = highest < last;
                    usize::from(highest + 1 == last)
                }
                (false, None) => 0,
            }
        }
        None => 0,
    };
    let class = |number: &usize| number.checked_add(offset).filter(|&class| class < classes);
    let found: Vec<Vec<usize>> = numbers
        .iter()
        .map(|n| class(n).into_iter().collect())
        .collect();
    let by = MatchedBy::Number { offset, assumed };
    one_each(names, &found, classes, &Index::new(labels, classes), by)
}

/// The one class of each name.
fn one_each(
    names: &[String],
    found: &[Vec<usize>],
    classes: usize,
    index: &Index<'_>,
    by: MatchedBy,
) -> Result<ClassMatch, MatchError> {
    let mut problems = Problems::default();
    let mut matched = Vec::with_capacity(names.len());
    let mut taken: HashMap<usize, &String> = HashMap::new();
    for (name, found) in names.iter().zip(found) {
        match found[..] {
            [class] => {
                if let Some(other) = taken.insert(class, name) {
                    problems.same.push((other.clone(), name.clone()));
                }
                matched.push(class);
            }
            [] => problems.unknown.push(name.clone()),
            _ => {
                let labels = found
                    .iter()
                    .map(|&class| format!("{class} {}", index.labels[class]));
                problems.ambiguous.push((name.clone(), labels.collect()));
            }
        }
    }
    if problems == Problems::default() {
        return Ok(ClassMatch {
            classes: matched,
            by,
        });
    }
    Err(MatchError::Names { classes, problems })
}

/// Labels and their synonyms.
struct Index<'a> {
    labels: Vec<&'a str>,
    /// Classes by a name, character by character.
    exact: HashMap<&'a str, Vec<usize>>,
    /// Classes by a name in its plain form.
    plain: HashMap<String, Vec<usize>>,
    /// The class of ImageNet's first id, if these are ImageNet's classes.
    imagenet: Option<usize>,
}

impl<'a> Index<'a> {
    fn new(labels: &'a Labels, classes: usize) -> Self {
        let label = |class| labels.name(class, classes);
        let labels: Vec<&str> = (0..classes).map_while(label).collect();
        let mut exact: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut plain: HashMap<String, Vec<usize>> = HashMap::new();
        for (class, label) in labels.iter().enumerate() {
            for name in label.split(',').map(str::trim).chain([*label]) {
                add(exact.entry(name).or_default(), class);
                add(plain.entry(plainly(name)).or_default(), class);
            }
        }
        plain.remove("");
        let first = IMAGENET_CLASSES
            .checked_sub(classes)
            .map(|missing| 1 - missing.min(1));
        let is_imagenet = |first: usize| {
            classes + 1 >= IMAGENET_CLASSES
                && labels.len() == classes
                && (first..classes).all(|class| {
                    let ours = Labels::ImageNet.name(class, classes).unwrap_or_default();
                    labels[class] == ours || plainly(labels[class]) == plainly(ours)
                })
        };
        let imagenet = first.filter(|&first| is_imagenet(first));
        Self {
            labels,
            exact,
            plain,
            imagenet,
        }
    }

    /// The classes that a name fits.
    fn find(&self, name: &str) -> Vec<usize> {
        if let Some(found) = self.exact.get(name) {
            return found.clone();
        }
        if let Some(found) = self.plain.get(&plainly(name)) {
            return found.clone();
        }
        let of_id = || Some(self.imagenet? + wordnet::class(name)?);
        of_id().into_iter().collect()
    }

    /// The classes of names that are, as a whole, the labels of all classes: then a label is not
    /// taken for another's synonym.
    fn all_labels(&self, names: &[String]) -> Option<Vec<Vec<usize>>> {
        let mut classes: HashMap<&str, usize> = HashMap::new();
        for (class, label) in self.labels.iter().enumerate() {
            if classes.insert(label, class).is_some() {
                return None;
            }
        }
        if names.len() != self.labels.len() {
            return None;
        }
        let class = |name: &String| Some(vec![*classes.get(name.as_str())?]);
        names.iter().map(class).collect()
    }
}

fn add(classes: &mut Vec<usize>, class: usize) {
    if classes.last() != Some(&class) {
        classes.push(class);
    }
}

/// Words in lower case, with one blank between them.
fn plainly(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric());
    let words: Vec<String> = words
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join(" ")
}

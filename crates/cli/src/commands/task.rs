//! What each task makes of its data: photos, what the last layer tells, and the loss.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::error::ErrorKind;
use mobilenet::model::Head;
use mobilenet::model::checkpoint::Metadata;
use mobilenet::model::labels::Labels;
use mobilenet::train::data::{self, ImageDataset, OpenData, attributes, csv, list_parts, vectors};
use mobilenet::train::fine_tune::Logits;
use mobilenet::train::places::{self, Partition, PartitionLimits};
use mobilenet::train::recipe::Target;

use crate::args::{Task, Train};

/// Numbers of an embedding, as FaceNet's.
const EMBEDDING_WIDTH: usize = 128;

/// A task with its data.
pub(super) struct Subject {
    pub(super) data: OpenData,
    pub(super) head: Head,
    /// Names of the network's outputs.
    pub(super) outputs: Vec<String>,
    /// What is learnt, unless it is the class.
    pub(super) target: Option<Target>,
}

impl Subject {
    /// Opens the data of the task.
    pub(super) fn open(arguments: &Train) -> Result<Self> {
        refuse_others(arguments)?;
        match arguments.task {
            Task::MultiLabel => multi_label(arguments),
            Task::Embedding => embedding(arguments),
            Task::Places => in_cells(arguments),
            Task::Classification | Task::Detection => {
                let data = data::open(&arguments.data)?;
                Ok(Self {
                    outputs: data.train.class_names().to_vec(),
                    head: Head::Classes,
                    target: None,
                    data,
                })
            }
        }
    }

    /// The labels of the outputs.
    pub(super) fn labels(&self) -> Labels {
        match self.head {
            Head::Embedding => Labels::Unknown,
            Head::Classes | Head::Attributes => Labels::Names(self.outputs.clone()),
        }
    }

    /// What of the last layer of `--init` is kept. Where the task shows it, nobody has to say so.
    pub(super) fn logits(&self, arguments: &Train, init: &Metadata) -> Result<Logits> {
        if arguments.exclude_logits {
            return Ok(Logits::Exclude);
        }
        let is_same_head = init.head == self.head;
        if arguments.task == Task::Classification {
            return match (is_same_head, arguments.slice_logits) {
                (true, true) => Ok(Logits::Slice),
                (true, false) => Ok(Logits::Keep),
                (false, _) => {
                    bail!("the last layer of --init tells no classes; use --exclude-logits")
                }
            };
        }
        let has_same = is_same_head
            && init.classes == Some(self.outputs.len())
            && init.labels == self.labels();
        Ok(match has_same {
            true => Logits::Keep,
            false => Logits::Exclude,
        })
    }
}

/// Options that other tasks do not have.
fn refuse_others(arguments: &Train) -> Result<()> {
    let task = arguments.task;
    let (is_classification, is_places) = (task == Task::Classification, task == Task::Places);
    let classes = is_classification || is_places;
    let wrong = [
        ("--head", arguments.head && !is_classification),
        (
            "--slice-logits",
            arguments.slice_logits && !is_classification,
        ),
        ("--quantize", arguments.quantize && !classes),
        (
            "--label-smoothing",
            arguments.label_smoothing.is_some() && !classes,
        ),
        (
            "--embedding-width",
            arguments.embedding_width.is_some() && task != Task::Embedding,
        ),
    ];
    refuse(&wrong)
}

/// A usage error that names the first of these options that was given.
pub(super) fn refuse(options: &[(&str, bool)]) -> Result<()> {
    match options.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => {
            let message = format!("{option} is not for this --task\n");
            Err(clap::Error::raw(ErrorKind::ArgumentConflict, message).into())
        }
    }
}

fn multi_label(arguments: &Train) -> Result<Subject> {
    let (train, test) = list_parts(&arguments.data);
    let train = attributes::open(&train, None)?;
    let outputs = train.class_names().to_vec();
    let test = match test {
        Some(test) => {
            Some(Arc::new(attributes::open(&test, Some(&outputs))?) as Arc<dyn ImageDataset>)
        }
        None => None,
    };
    Ok(Subject {
        data: OpenData {
            train: Arc::new(train),
            test,
        },
        head: Head::Attributes,
        outputs,
        target: Some(Target::Attributes),
    })
}

fn embedding(arguments: &Train) -> Result<Subject> {
    let chosen = arguments.embedding_width.map(|width| width as usize);
    let (list, test) = list_parts(&arguments.data);
    let is_list = arguments.data.ends_with(".csv");
    if is_list && vectors::has_vectors(&list)? {
        let train = vectors::open(&list)?;
        let width = train.class_names().len();
        if chosen.is_some_and(|chosen| chosen != width) {
            bail!("--embedding-width must be that of the vectors to learn, {width}");
        }
        let test = match test {
            Some(test) => Some(Arc::new(vectors::open(&test)?) as Arc<dyn ImageDataset>),
            None => None,
        };
        let data = OpenData {
            train: Arc::new(train),
            test,
        };
        return Ok(of_embedding(data, width, Target::Direction));
    }
    // Those for evaluation may show others, so that lists need not have the same labels.
    let data = match is_list {
        true => OpenData {
            train: Arc::new(csv::open(&list, None)?),
            test: match test {
                Some(test) => Some(Arc::new(csv::open(&test, None)?) as Arc<dyn ImageDataset>),
                None => None,
            },
        },
        false => data::open(&arguments.data)?,
    };
    let width = chosen.unwrap_or(EMBEDDING_WIDTH);
    let target = match arguments.teacher {
        Some(_) => Target::Direction,
        None => Target::CONTRAST,
    };
    let classes = data.train.class_names().len();
    if target == Target::CONTRAST && classes < 2 {
        bail!("{} has one class; contrasts need others", arguments.data);
    }
    Ok(of_embedding(data, width, target))
}

fn of_embedding(data: OpenData, width: usize, target: Target) -> Subject {
    Subject {
        data,
        head: Head::Embedding,
        outputs: numbered(width),
        target: Some(target),
    }
}

/// Names of the numbers of a vector.
pub(super) fn numbered(width: usize) -> Vec<String> {
    (0..width).map(|place| place.to_string()).collect()
}

fn in_cells(arguments: &Train) -> Result<Subject> {
    let (train, test) = list_parts(&arguments.data);
    let limits = PartitionLimits {
        least: arguments.cell_least as usize,
        most: arguments.cell_most as usize,
    };
    let photos = places::open(&train)?;
    let partition = Partition::new(photos.places(), limits)?;
    let labelled = |photos: &places::PlacePhotos, list: &Path| -> Result<_> {
        let (inside, outside) = photos.in_cells(&partition)?;
        let cells = partition.cells().len();
        eprintln!(
            "{}: {} photos in {cells} cells, {outside} in none, which are left out",
            list.display(),
            inside.len()
        );
        Ok(Arc::new(inside))
    };
    let data = OpenData {
        train: labelled(&photos, &train)?,
        test: match test {
            Some(test) => Some(labelled(&places::open(&test)?, &test)?),
            None => None,
        },
    };
    Ok(Subject {
        data,
        head: Head::Classes,
        outputs: partition.names(),
        target: None,
    })
}

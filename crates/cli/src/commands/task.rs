//! What each task makes of its data: photos, what the last layer tells, and the loss.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::error::ErrorKind;
use mobilenet::model::architecture::feature_channels;
use mobilenet::model::checkpoint::Metadata;
use mobilenet::model::labels::Labels;
use mobilenet::model::{Head, InferencePlan};
use mobilenet::train::data::{self, ImageDataset, OpenData, attributes, csv, list_parts, vectors};
use mobilenet::train::fine_tune::Logits;
use mobilenet::train::places::{self, Partition, PartitionLimits};
use mobilenet::train::recipe::Target;

use crate::args::{Task, Train};
use crate::values::EmbeddingWidth;

/// Numbers of an embedding, as FaceNet's.
const EMBEDDING_WIDTH: usize = 128;

/// A task with its data.
pub(super) struct Subject {
    pub(super) data: OpenData,
    pub(super) head: Head,
    /// Names of the last layer's outputs; none without a last layer.
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

    /// Number of outputs of the last layer, if there is one.
    pub(super) fn classes(&self) -> Option<usize> {
        Some(self.outputs.len()).filter(|&outputs| outputs > 0)
    }

    /// Gives the last layer as many outputs as the teacher's vectors have numbers.
    pub(super) fn learn_vectors_of(
        &mut self,
        teacher: &InferencePlan,
        arguments: &Train,
    ) -> Result<()> {
        let width = teacher.output_len();
        match arguments.embedding_width {
            Some(EmbeddingWidth::Features) => (),
            Some(EmbeddingWidth::Numbers(chosen)) if chosen != width => {
                bail!("--embedding-width must be that of the teacher's vectors, {width}")
            }
            _ => self.outputs = numbered(width),
        }
        Ok(())
    }

    /// Checks that features without a last layer are as many as the vectors to learn have numbers.
    pub(super) fn check_features(
        &self,
        network: &Metadata,
        teacher: Option<&InferencePlan>,
    ) -> Result<()> {
        if self.classes().is_some() || self.target != Some(Target::Direction) {
            return Ok(());
        }
        let of_list = self.data.train.class_names().len();
        let learnt = teacher.map_or(of_list, InferencePlan::output_len);
        let features = feature_channels(&network.config().base)?;
        if features != learnt {
            bail!(
                "without a last layer a vector has the network's {features} features, and those to \
                 learn have {learnt} numbers; --embedding-width {learnt} adds a last layer"
            );
        }
        Ok(())
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
        if self.classes().is_none() {
            return Ok(Logits::Remove);
        }
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
        let has_same =
            is_same_head && init.classes == self.classes() && init.labels == self.labels();
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
    let chosen = arguments.embedding_width;
    let (list, test) = list_parts(&arguments.data);
    let is_list = arguments.data.ends_with(".csv");
    if is_list && vectors::has_vectors(&list)? {
        let train = vectors::open(&list)?;
        let width = train.class_names().len();
        let outputs = match chosen {
            Some(EmbeddingWidth::Features) => 0,
            Some(EmbeddingWidth::Numbers(chosen)) if chosen != width => {
                bail!("--embedding-width must be that of the vectors to learn, {width}")
            }
            _ => width,
        };
        let test = match test {
            Some(test) => Some(Arc::new(vectors::open(&test)?) as Arc<dyn ImageDataset>),
            None => None,
        };
        let data = OpenData {
            train: Arc::new(train),
            test,
        };
        return Ok(of_embedding(data, outputs, Target::Direction));
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
    let outputs = match chosen {
        Some(EmbeddingWidth::Features) => 0,
        Some(EmbeddingWidth::Numbers(chosen)) => chosen,
        None => EMBEDDING_WIDTH,
    };
    let target = match arguments.teacher {
        Some(_) => Target::Direction,
        None => Target::CONTRAST,
    };
    let classes = data.train.class_names().len();
    if target == Target::CONTRAST && classes < 2 {
        bail!("{} has one class; contrasts need others", arguments.data);
    }
    Ok(of_embedding(data, outputs, target))
}

fn of_embedding(data: OpenData, outputs: usize, target: Target) -> Subject {
    Subject {
        data,
        head: Head::Embedding,
        outputs: numbered(outputs),
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

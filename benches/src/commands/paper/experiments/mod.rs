//! The paper's questions answered by training small networks on Fashion-MNIST, and some on photos.
//!
//! ```text
//! design    questions -> settings, each with several seeds
//! training  a setting and a seed -> accuracy
//! results   docs/experiments.jsonl
//! page      -> a section of docs/paper.md and a plot                (`--check` does only this)
//! ```

mod design;
mod page;
mod results;
mod training;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mobilenet::model::initialize::Parameters;
use mobilenet::train::data::{self, OpenData};

use self::design::{Images, Scale, Setting, settings};
use self::results::{Results, Run};
use self::training::Trained;
use super::super::docs::root;

/// Raw results and plot, beside the page.
const RAW: &str = "experiments.jsonl";
const PLOT: &str = "images/experiments.svg";

/// Trains what is not yet among the stored results, and stores each run. As many runs as there are
/// cores train at a time, each on one thread. Without photos nothing is trained on photos.
pub(super) fn run(quick: bool, photos: Option<&Path>) -> Result<()> {
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    let path = root().join("docs").join(RAW);
    let results = Results::to_continue(Results::read(&path)?, &scale)?;
    let mut data = HashMap::from([(Images::FashionMnist, data::open("fashion-mnist")?)]);
    data.extend(photos.map(flowers).transpose()?);
    let seeds = 0..scale.seeds;
    let all: Vec<(Setting, u64)> = settings()
        .into_iter()
        .flat_map(|setting| seeds.clone().map(move |seed| (setting, seed)))
        .collect();
    let missing: Vec<(Setting, u64)> = (all.iter().copied())
        .filter(|(setting, _)| data.contains_key(&setting.images))
        .filter(|(setting, seed)| !results.has(setting, *seed))
        .collect();
    let planned = results.runs.len() + missing.len();
    let experiment = Experiment {
        scale,
        data,
        teachers: Mutex::new(HashMap::new()),
    };
    let next = AtomicUsize::new(0);
    let results = Mutex::new(results);
    let work = || -> Result<()> {
        while let Some(&(setting, seed)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Instant::now();
            let accuracy = experiment.accuracy(&setting, seed)?;
            let mut results = locked(&results);
            results.runs.push(Run {
                setting,
                seed,
                accuracy,
            });
            // In the same order, whichever ends first.
            let place = |run: &Run| all.iter().position(|one| *one == (run.setting, run.seed));
            results.runs.sort_by_key(place);
            results.write(&path)?;
            eprintln!(
                "{} of {planned}: {setting:?}, seed {seed}: {:.2} % after {:.0} s",
                results.runs.len(),
                100.0 * accuracy,
                start.elapsed().as_secs_f64()
            );
        }
        Ok(())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut ends = workers.into_iter().map(|worker| match worker.join() {
            Ok(end) => end,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ends.try_for_each(|end| end)
    })
}

/// The photos of a folder with train/ and test/.
fn flowers(folder: &Path) -> Result<(Images, OpenData)> {
    let images = Images::Flowers;
    let data = data::open(&folder.to_string_lossy())?;
    let (expected, found) = (images.classes(), data.train.class_names().len());
    if found != expected {
        bail!(
            "{} has {found} classes; the photos of these experiments have {expected}",
            folder.display()
        );
    }
    Ok((images, data))
}

/// What all runs share.
struct Experiment {
    scale: Scale,
    data: HashMap<Images, OpenData>,
    /// Weights of the teachers, by seed.
    teachers: Mutex<HashMap<(Images, u64), Arc<Parameters>>>,
}

impl Experiment {
    fn accuracy(&self, setting: &Setting, seed: u64) -> Result<f64> {
        let teacher = match setting.distilled {
            true => Some(self.teacher(setting.images, seed)?),
            false => None,
        };
        let trained = self.train(setting, seed, teacher.as_deref())?;
        if *setting == setting.images.teacher() {
            let teacher = Arc::new(trained.parameters);
            locked(&self.teachers).insert((setting.images, seed), teacher);
        }
        Ok(trained.accuracy)
    }

    /// The teacher with this seed. It is trained again if an earlier process has trained it.
    fn teacher(&self, images: Images, seed: u64) -> Result<Arc<Parameters>> {
        let known = locked(&self.teachers).get(&(images, seed)).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let trained = self.train(&images.teacher(), seed, None)?;
        let teacher = Arc::new(trained.parameters);
        locked(&self.teachers).insert((images, seed), teacher.clone());
        Ok(teacher)
    }

    fn train(&self, setting: &Setting, seed: u64, teacher: Option<&Parameters>) -> Result<Trained> {
        let data = self.data.get(&setting.images);
        let data = data.with_context(|| format!("no images for {setting:?}"))?;
        training::train(setting, &self.scale, seed, data, teacher)
            .with_context(|| format!("{setting:?}, seed {seed}"))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a lock guards here is whole whenever a thread could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the results give.
pub(super) struct Pages {
    /// A section of docs/paper.md.
    pub(super) section: String,
    /// The plot's file and content.
    pub(super) plot: (String, String),
}

/// `None` if there are no results.
pub(super) fn pages() -> Result<Option<Pages>> {
    let path = root().join("docs").join(RAW);
    let Some(results) = Results::read(&path)? else {
        return Ok(None);
    };
    Ok(Some(Pages {
        section: page::section(&results, RAW, PLOT)?,
        plot: (format!("docs/{PLOT}"), page::plot(&results)?),
    }))
}

#[cfg(test)]
mod tests {
    use mobilenet::Photo;
    use mobilenet::train::data::{DataError, ImageDataset};

    use super::design::Structure;
    use super::*;

    /// Striped photos of ten grey levels, one for each class.
    struct Greys(Vec<String>);

    impl ImageDataset for Greys {
        fn len(&self) -> usize {
            40
        }

        fn class_names(&self) -> &[String] {
            &self.0
        }

        fn label(&self, index: usize) -> usize {
            index % self.0.len()
        }

        fn load(&self, index: usize) -> Result<Photo, DataError> {
            let (class, photo) = (self.label(index) as u32, index as u32);
            Ok(Photo::from_fn(28, 28, |x, y| {
                let level = 20 * class + (x * (class + 1) + y * (photo + 3)) % 60;
                [level as u8; 3].into()
            }))
        }

        fn name(&self, index: usize) -> String {
            format!("grey {index}")
        }
    }

    fn data(images: Images) -> OpenData {
        let classes = 0..images.classes();
        let greys = Arc::new(Greys(classes.map(|class| class.to_string()).collect()));
        OpenData {
            train: greys.clone(),
            test: Some(greys),
        }
    }

    const TINY: Scale = Scale {
        quick: true,
        steps: 4,
        batch_size: 20,
        photo_steps: 2,
        photo_batch_size: 10,
        seeds: 1,
    };

    #[test]
    fn the_same_seed_gives_the_same_weights() {
        for structure in [Structure::Separable, Structure::Full] {
            let setting = Setting {
                structure,
                ..Setting::mobilenet(0.0625, 32)
            };
            let data = data(setting.images);
            let train = |seed| training::train(&setting, &TINY, seed, &data, None).unwrap();
            let [first, again, other] = [3, 3, 4].map(train);
            assert!(first.parameters == again.parameters, "{structure:?}");
            assert!(first.parameters != other.parameters, "{structure:?}");
            assert_eq!(first.accuracy, again.accuracy);
        }
    }

    #[test]
    fn students_learn_from_their_teachers_alone() {
        let on_photos = settings()
            .into_iter()
            .find(|one| one.distilled && one.images == Images::Flowers);
        let fashion = Setting {
            distilled: true,
            ..Setting::mobilenet(0.0625, 56)
        };
        for student in [fashion, on_photos.unwrap()] {
            let images = student.images;
            let experiment = Experiment {
                scale: TINY,
                data: HashMap::from([(images, data(images))]),
                teachers: Mutex::new(HashMap::new()),
            };
            let accuracy = experiment.accuracy(&student, 0).unwrap();
            assert!((0.0..=1.0).contains(&accuracy));
            assert!(locked(&experiment.teachers).contains_key(&(images, 0)));
            assert!(training::train(&student, &TINY, 0, &data(images), None).is_err());
        }
    }
}

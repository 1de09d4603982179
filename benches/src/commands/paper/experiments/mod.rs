//! The paper's questions answered by training small networks on Fashion-MNIST.
//!
//! ```text
//! design    questions -> settings, each with several seeds
//! training  a setting and a seed -> accuracy (autograd: full convolutions, on candle)
//! results   docs/experiments.jsonl
//! page      -> a section of docs/paper.md and a plot                (`--check` does only this)
//! ```

mod autograd;
mod design;
mod page;
mod results;
mod training;

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context, Result};
use mobilenet::model::initialize::Parameters;
use mobilenet::train::data::{self, OpenData};

use self::design::{Scale, Setting, settings};
use self::results::{Results, Run};
use super::super::docs::root;

/// Raw results and plot, beside the page.
const RAW: &str = "experiments.jsonl";
const PLOT: &str = "images/experiments.svg";

/// Trains what is not yet among the stored results, and stores each run.
pub(super) fn run(quick: bool) -> Result<()> {
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    let path = root().join("docs").join(RAW);
    let stored = Results::read(&path)?.filter(|stored| stored.scale == scale);
    let mut results = stored.unwrap_or(Results {
        scale,
        runs: Vec::new(),
    });
    let data = data::open("fashion-mnist")?;
    let mut teachers = HashMap::new();
    let settings = settings();
    let total = settings.len() as u64 * results.scale.seeds;
    for setting in settings {
        for seed in 0..results.scale.seeds {
            if results.has(&setting, seed) {
                continue;
            }
            let start = Instant::now();
            let accuracy = one(&setting, &results.scale, seed, &data, &mut teachers)?;
            results.runs.push(Run {
                setting,
                seed,
                accuracy,
            });
            results.write(&path)?;
            eprintln!(
                "{} of {total}: {setting:?}, seed {seed}: {:.2} % after {:.0} s",
                results.runs.len(),
                100.0 * accuracy,
                start.elapsed().as_secs_f64()
            );
        }
    }
    Ok(())
}

/// The accuracy of a run. Teachers are kept, by their seeds.
fn one(
    setting: &Setting,
    scale: &Scale,
    seed: u64,
    data: &OpenData,
    teachers: &mut HashMap<u64, Parameters>,
) -> Result<f64> {
    if setting.distilled && !teachers.contains_key(&seed) {
        let teacher = training::train(&Setting::LARGEST, scale, seed, data, None)?;
        teachers.insert(seed, teacher.parameters);
    }
    let trained = training::train(setting, scale, seed, data, teachers.get(&seed))
        .with_context(|| format!("{setting:?}, seed {seed}"))?;
    if *setting == Setting::LARGEST {
        teachers.insert(seed, trained.parameters);
    }
    Ok(trained.accuracy)
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
    use std::sync::Arc;

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
            index % 10
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

    fn data() -> OpenData {
        let greys = Arc::new(Greys((0..10).map(|class| class.to_string()).collect()));
        OpenData {
            train: greys.clone(),
            test: Some(greys),
        }
    }

    const TINY: Scale = Scale {
        quick: true,
        steps: 4,
        batch_size: 20,
        seeds: 1,
    };

    #[test]
    fn the_same_seed_gives_the_same_weights() {
        for structure in [Structure::Separable, Structure::Full] {
            let setting = Setting {
                structure,
                ..Setting::mobilenet(0.0625, 32)
            };
            let train = |seed| training::train(&setting, &TINY, seed, &data(), None).unwrap();
            let [first, again, other] = [3, 3, 4].map(train);
            assert!(first.parameters == again.parameters, "{structure:?}");
            assert!(first.parameters != other.parameters, "{structure:?}");
            assert_eq!(first.accuracy, again.accuracy);
        }
    }

    #[test]
    fn a_student_learns_from_its_teacher_alone() {
        let mut teachers = HashMap::new();
        let student = Setting {
            distilled: true,
            ..Setting::mobilenet(0.0625, 56)
        };
        let accuracy = one(&student, &TINY, 0, &data(), &mut teachers).unwrap();
        assert!((0.0..=1.0).contains(&accuracy));
        assert!(teachers.contains_key(&0));
        assert!(training::train(&student, &TINY, 0, &data(), None).is_err());
    }

    /// Dropout draws other numbers on candle, so it is off.
    #[test]
    fn autograd_trains_as_the_program_does() {
        use mobilenet::model::FlatLayout;
        use mobilenet::model::initialize::initial_parameters;
        use mobilenet::train::trainer::State;

        let setting = Setting::mobilenet(0.0625, 32);
        let mut recipe = training::recipe(&setting, &TINY, 0);
        recipe.dropout_keep_prob = 1.0;
        // In later steps rounding errors have grown.
        recipe.steps = 1;
        let mut config = recipe.network(setting.config());
        config.dropout_keep_prob = 1.0;
        let layout = FlatLayout::new(&config).unwrap();
        let weights = layout
            .flatten(&initial_parameters(&config, 0).unwrap())
            .unwrap();
        let state = State::new(&recipe, &layout, weights).unwrap();
        let loader = || training::loader(&recipe, &data()).unwrap();
        let expected = training::by_program(recipe.clone(), &config, state.clone(), None, loader());
        let found = autograd::train(&recipe, &config, state, loader()).unwrap();
        for (name, expected) in expected.unwrap() {
            let largest = expected
                .values()
                .iter()
                .fold(0f32, |most, v| most.max(v.abs()));
            for (a, b) in found[&name].values().iter().zip(expected.values()) {
                assert!((a - b).abs() <= 2e-3 * largest.max(1e-3), "{name}: {a} {b}");
            }
        }
    }
}

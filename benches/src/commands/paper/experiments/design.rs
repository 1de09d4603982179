//! What is trained: a quarter of the paper's widths on a quarter of its resolutions.

use anyhow::Result;
use mobilenet::model::MobileNetV1Config;
use mobilenet::model::inspect::{Summary, summary};
use mobilenet::model::prior_work::{conv_mobilenet, shallow_mobilenet};
use serde::{Deserialize, Serialize};

/// The paper's four widths and resolutions, divided by 4.
pub(super) const WIDTHS: [f64; 4] = [0.25, 0.1875, 0.125, 0.0625];
pub(super) const SIDES: [usize; 4] = [56, 48, 40, 32];

/// Least channels of a layer: low enough that no width is raised by it.
const MIN_DEPTH: usize = 2;

/// How much is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scale {
    /// Whether this is the quick form.
    pub(super) quick: bool,
    pub(super) steps: u64,
    pub(super) batch_size: usize,
    pub(super) photo_steps: u64,
    pub(super) photo_batch_size: usize,
    pub(super) seeds: u64,
}

impl Scale {
    /// Short, with the same structure.
    pub(super) const QUICK: Self = Self {
        quick: true,
        steps: 300,
        batch_size: 128,
        photo_steps: 10 * 22,
        photo_batch_size: 32,
        seeds: 3,
    };
    /// A night on 2 cores.
    pub(super) const FULL: Self = Self {
        quick: false,
        steps: 20 * 468,
        batch_size: 128,
        photo_steps: 60 * 22,
        photo_batch_size: 32,
        seeds: 5,
    };

    /// Steps of a run, and images of a step.
    pub(super) fn of(&self, images: Images) -> (u64, usize) {
        match images {
            Images::FashionMnist => (self.steps, self.batch_size),
            Images::Flowers => (self.photo_steps, self.photo_batch_size),
        }
    }
}

/// What a network is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Images {
    FashionMnist,
    /// Photos of twelve kinds of flowers.
    Flowers,
}

impl Images {
    pub(super) fn classes(self) -> usize {
        match self {
            Self::FashionMnist => 10,
            Self::Flowers => 12,
        }
    }

    /// The network that is a student's teacher.
    pub(super) fn teacher(self) -> Setting {
        match self {
            Self::FashionMnist => Setting::LARGEST,
            Self::Flowers => Setting::FLOWERS,
        }
    }
}

/// The layers of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Structure {
    /// MobileNet's.
    Separable,
    /// Those of Conv MobileNet: full convolutions in place of separable ones.
    Full,
    /// Those of Shallow MobileNet: five fewer.
    Shallow,
}

/// How weights are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    /// Gradient descent with Nesterov's momentum.
    Momentum,
    /// TensorFlow's RMSProp with slim's settings.
    RmsProp,
}

/// What a run trains, apart from its seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setting {
    pub(super) images: Images,
    pub(super) structure: Structure,
    pub(super) width: f64,
    pub(super) side: usize,
    pub(super) optimizer: Rule,
    /// Whether L2 includes depthwise weights.
    pub(super) decay_depthwise: bool,
    /// Whether it learns from its teacher's probabilities instead of labels.
    pub(super) distilled: bool,
}

impl Setting {
    /// MobileNet, trained as most are.
    pub(super) const fn mobilenet(width: f64, side: usize) -> Self {
        Self {
            images: Images::FashionMnist,
            structure: Structure::Separable,
            width,
            side,
            optimizer: Rule::Momentum,
            decay_depthwise: false,
            distilled: false,
        }
    }

    /// The largest, which is also the teacher.
    pub(super) const LARGEST: Self = Self::mobilenet(WIDTHS[0], SIDES[0]);

    /// The largest on photos: half of the paper's width and resolution.
    const FLOWERS: Self = Self {
        images: Images::Flowers,
        ..Self::mobilenet(0.5, 112)
    };

    /// The smallest at the teacher's resolution.
    const STUDENT: Self = Self::mobilenet(WIDTHS[3], SIDES[0]);

    pub(super) fn config(&self) -> MobileNetV1Config {
        let mut config = match self.structure {
            Structure::Separable => MobileNetV1Config::mobilenet_v1(),
            Structure::Full => conv_mobilenet(),
            Structure::Shallow => shallow_mobilenet(),
        };
        config.num_classes = Some(self.images.classes());
        config.global_pool = true;
        config.base.depth_multiplier = self.width;
        config.base.min_depth = MIN_DEPTH;
        config
    }

    pub(super) fn cost(&self) -> Result<Summary> {
        Ok(summary(&self.config(), self.side, self.side)?)
    }
}

/// Two settings whose difference answers a question.
pub(super) struct Question {
    pub(super) title: &'static str,
    /// What the paper finds, in its own data.
    pub(super) paper: &'static str,
    pub(super) settings: [(&'static str, Setting); 2],
}

pub(super) fn questions() -> [Question; 5] {
    let largest = Setting::LARGEST;
    let small = Setting::mobilenet(WIDTHS[2], SIDES[3]);
    [
        Question {
            title: "Separable against full convolutions (table 4)",
            paper: "the separable network is 1.1 points worse on ImageNet, with 8.6 times fewer multiply-adds",
            settings: [
                ("MobileNet", small),
                (
                    "Conv MobileNet",
                    Setting {
                        structure: Structure::Full,
                        ..small
                    },
                ),
            ],
        },
        Question {
            title: "Narrow against shallow (table 5)",
            paper: "the narrow network is 3.1 points better on ImageNet",
            settings: [
                (
                    "narrow: 0.75 of the width",
                    Setting::mobilenet(WIDTHS[1], SIDES[0]),
                ),
                (
                    "Shallow MobileNet",
                    Setting {
                        structure: Structure::Shallow,
                        ..largest
                    },
                ),
            ],
        },
        Question {
            title: "Distillation against labels (section 4.5)",
            paper: "students of the smallest size keep the accuracy of their teacher, on face attributes",
            settings: [
                (
                    "from the teacher alone",
                    Setting {
                        distilled: true,
                        ..Setting::STUDENT
                    },
                ),
                ("from labels", Setting::STUDENT),
            ],
        },
        Question {
            title: "L2 on depthwise weights or not (section 3.2)",
            paper: "\"very little or no\" L2 on them is important, without figures",
            settings: [
                ("without", largest),
                (
                    "with",
                    Setting {
                        decay_depthwise: true,
                        ..largest
                    },
                ),
            ],
        },
        Question {
            title: "RMSProp against gradient descent with momentum (section 3.2)",
            paper: "RMSProp was used; no comparison",
            settings: [
                (
                    "RMSProp",
                    Setting {
                        optimizer: Rule::RmsProp,
                        ..largest
                    },
                ),
                ("momentum", largest),
            ],
        },
    ]
}

/// The questions that photos answer, too.
pub(super) fn questions_of_photos() -> [Question; 3] {
    let teacher = Setting::FLOWERS;
    let narrow = Setting {
        width: 0.25,
        ..teacher
    };
    [
        Question {
            title: "Photos: half of the width (table 6)",
            paper: "0.5 is 6.9 points worse than 1.0 on ImageNet, and 0.25 another 13.1",
            settings: [("0.5", teacher), ("0.25", narrow)],
        },
        Question {
            title: "Photos: resolution (table 7)",
            paper: "128 pixels are 6.2 points worse than 224 on ImageNet",
            settings: [
                ("half of 224 pixels", narrow),
                ("half of 128 pixels", Setting { side: 64, ..narrow }),
            ],
        },
        Question {
            title: "Photos: distillation against labels (section 4.5)",
            paper: "students of the smallest size keep the accuracy of their teacher, on face attributes",
            settings: [
                (
                    "from the network of width 0.5 alone",
                    Setting {
                        distilled: true,
                        ..narrow
                    },
                ),
                ("from labels", narrow),
            ],
        },
    ]
}

/// Every setting once. The teachers are first of theirs.
pub(super) fn settings() -> Vec<Setting> {
    let sizes = WIDTHS
        .iter()
        .flat_map(|&width| SIDES.map(|side| Setting::mobilenet(width, side)));
    let mut all: Vec<Setting> = sizes.collect();
    let questions = questions().into_iter().chain(questions_of_photos());
    for (_, setting) in questions.flat_map(|question| question.settings) {
        if !all.contains(&setting) {
            all.push(setting);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_trained_once_and_the_teacher_first() {
        let all = settings();
        assert_eq!((all.len(), all[0]), (25, Setting::LARGEST));
        let first_of_photos = all.iter().find(|one| one.images == Images::Flowers);
        assert_eq!(first_of_photos, Some(&Setting::FLOWERS));
        for (index, setting) in all.iter().enumerate() {
            assert!(!all[..index].contains(setting));
            // A quarter of the width: no layer is held at the least number of channels.
            let layers = setting.cost().unwrap().layers;
            let width = (32.0 * setting.width) as usize;
            assert_eq!(layers[0].output[2], width, "{setting:?}");
        }
    }

    #[test]
    fn compared_networks_cost_about_the_same_where_the_paper_says_so() {
        let [_, narrow, ..] = questions();
        let [a, b] = narrow.settings.map(|(_, setting)| setting.cost().unwrap());
        let ratio = a.multiply_adds as f64 / b.multiply_adds as f64;
        assert!((0.9..1.15).contains(&ratio), "{ratio}");
    }
}

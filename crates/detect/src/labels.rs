//! Names of a detector's classes.

/// The 90 categories of COCO's numbering from 1 on, as TensorFlow's detectors have them
/// (`mscoco_label_map.pbtxt`). Ten numbers have no category.
#[rustfmt::skip]
const COCO: [&str; 90] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "", "backpack", "umbrella", "",
    "", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", "",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "", "dining table", "", "", "toilet", "", "tv", "laptop", "mouse", "remote", "keyboard",
    "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "", "book", "clock",
    "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
];

/// What label files write for a class without a name.
const NAMELESS: &str = "???";

/// Names of the classes, without the background.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    /// The names that a file brings, where their number fits; otherwise COCO's, if there are as many
    /// classes; otherwise none.
    pub fn new(of_file: Option<Vec<String>>, classes: usize) -> Self {
        let mut names = of_file.unwrap_or_default();
        // The background may be among them.
        if names.len() == classes + 1 {
            names.remove(0);
        }
        if names.len() != classes {
            let coco = COCO.iter().filter(|_| classes == COCO.len());
            names = coco.map(|name| name.to_string()).collect();
        }
        Self(names)
    }

    /// Those of face-api's network, of whose classes the first is used.
    pub fn faces(classes: usize) -> Self {
        let unused = vec![String::new(); classes.saturating_sub(1)];
        Self([vec!["face".to_string()], unused].concat())
    }

    /// The name of a class, counted without the background.
    pub fn name(&self, class: usize) -> Option<&str> {
        let name = self.0.get(class).map(String::as_str);
        name.filter(|name| !name.is_empty() && *name != NAMELESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_their_number() {
        let coco = ClassNames::new(None, 90);
        let named = [0, 16, 11, 89, 90].map(|class| coco.name(class));
        assert_eq!(
            named,
            [Some("person"), Some("cat"), None, Some("toothbrush"), None]
        );
        assert_eq!(
            (0..90).filter(|&class| coco.name(class).is_some()).count(),
            80
        );
        let lines = |text: &str| Some(text.lines().map(str::to_string).collect());
        let own = ClassNames::new(lines("???\nred\nblue"), 2);
        assert_eq!(
            [0, 1].map(|class| own.name(class)),
            [Some("red"), Some("blue")]
        );
        let own = ClassNames::new(lines("red\n???"), 2);
        assert_eq!([0, 1].map(|class| own.name(class)), [Some("red"), None]);
        assert_eq!(ClassNames::new(lines("red"), 3).name(0), None);
    }
}

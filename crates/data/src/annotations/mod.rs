//! Photos with boxes around their objects, for detectors.
//!
//! | item | content |
//! |---|---|
//! | [`open`] | a folder in any of the formats, as a part for training and one for evaluation |
//! | [`AnnotatedPhotos`] | photos, their boxes, and the names of the classes |
//! | `voc` | Pascal VOC: one XML file per photo |
//! | `coco` | COCO: one JSON file for all photos |
//! | `yolo` | YOLO: one text file per photo |

mod coco;
mod folder;
mod parts;
mod photos;
mod read;
mod voc;
mod yolo;

pub use parts::{open, open_test};
pub use photos::{AnnotatedPhotos, Object, ObjectBox};

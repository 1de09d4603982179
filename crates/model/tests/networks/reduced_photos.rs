//! Photos decoded at a reduced size: the answers are those of whole photos, within 0.01.
//!
//! The photos are enlarged to a camera's size, so that each reduction occurs. Two decoders that
//! decode all their pixels differ by as much: they round chroma differently.

use std::path::Path;

use crate::support::skipped;
use image::DynamicImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use mobilenet_model::Head;
use mobilenet_model::checkpoint::{ReadLimits, load};
use mobilenet_model::preprocess::{
    DecodeLimits, DecodeOptions, EncodedPhoto, Photo, Preprocessing, Reduction, open,
};
use mobilenet_model::{InferencePlan, PlanOptions, PlanWeights};

const ALLOWED: f64 = 0.01;
/// How much each is enlarged, and by how much its decoder then reduces it.
const PHOTOS: [(&str, u32, Reduction); 4] = [
    ("cat.bmp", 7, Reduction::Half),
    ("hot_dog.jpg", 6, Reduction::Half),
    ("grace_hopper.bmp", 8, Reduction::Quarter),
    ("owl.jpg", 6, Reduction::Half),
];

fn jpeg(photo: &Photo) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 92)
        .encode_image(photo)
        .unwrap();
    bytes
}

/// The probabilities of all classes, of a photo decoded at this size.
fn probabilities(
    plan: &mut InferencePlan,
    rule: &Preprocessing,
    bytes: &[u8],
    reduction: Reduction,
) -> Vec<f64> {
    let options = DecodeOptions {
        reduction,
        ..DecodeOptions::default()
    };
    let photo = EncodedPhoto::new("x", bytes).unwrap();
    let [height, width] = photo.size().map(|side| side / reduction.divisor());
    let photo = photo.decode(options).unwrap().photo;
    assert!(photo.width() as usize - width <= 1 && photo.height() as usize - height <= 1);
    let mut logits = vec![0.0; plan.output_len()];
    plan.run(&rule.pixels(&photo).unwrap(), &mut logits)
        .unwrap();
    Head::Classes.mean_probabilities(&logits, logits.len())
}

#[test]
fn answers_are_those_of_whole_photos() {
    let rule = Preprocessing::timm(224, 0.875);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.is_dir() {
        skipped(format_args!("there is no {}", data.display()));
        return;
    }
    let weights = data.join("models/mobilenet_v1_0.25_224.h5");
    let checkpoint = load(&weights, ReadLimits::default()).unwrap();
    let config = checkpoint.metadata.config();
    let packed = PlanWeights::new(&config, &checkpoint.parameters).unwrap();
    let mut plan = InferencePlan::new(&packed, &PlanOptions::new(rule.size, 2)).unwrap();
    for (name, enlarged, reduction) in PHOTOS {
        let photo = open(&data.join("photos").join(name), DecodeLimits::default()).unwrap();
        let large = |side: u32| enlarged * side / 8 * 8;
        let (width, height) = (large(photo.width()), large(photo.height()));
        // The method of this type is compiled with the codecs, with optimisation.
        let photo = DynamicImage::ImageRgb8(photo);
        let photo = photo.resize_exact(width, height, FilterType::Triangle);
        let bytes = jpeg(&photo.into_rgb8());
        let size = EncodedPhoto::new("x", bytes.as_slice()).unwrap().size();
        assert_eq!(rule.reduction(size), reduction, "{name}");
        let whole = probabilities(&mut plan, &rule, &bytes, Reduction::None);
        let found = probabilities(&mut plan, &rule, &bytes, reduction);
        let pairs = whole.iter().zip(&found);
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{name} {reduction:?}: {worst:.4}");
        assert!(worst <= ALLOWED, "{name}: {worst}");
    }
}

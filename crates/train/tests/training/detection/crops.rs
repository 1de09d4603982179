//! The random crops of photos with boxes.

use mobilenet_detect::bounds::Bounds;
use mobilenet_train::data::annotations::Object;
use mobilenet_train::detection::augment::crop;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[test]
fn crops_keep_what_they_contain() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let objects: [Object; 2] = [(0, [0.1, 0.2, 0.4, 0.5]), (1, [0.6, 0.5, 0.95, 0.9])];
    let (mut whole, mut none, mut cut) = (0, 0, 0);
    for _ in 0..2000 {
        let (window, kept) = crop([90, 120], &objects, &mut rng);
        assert!(window.height > 0 && window.top + window.height <= 90);
        assert!(window.width > 0 && window.left + window.width <= 120);
        whole += usize::from(window.height == 90 && window.width == 120);
        none += usize::from(kept.is_empty());
        for (class, bounds) in kept {
            assert!(bounds.iter().all(|side| (0.0..=1.0).contains(side)));
            // Back in the photo, it is a part of the object.
            let [top, left, bottom, right] = bounds;
            let back: Bounds = [
                (window.top as f32 + top * window.height as f32) / 90.0,
                (window.left as f32 + left * window.width as f32) / 120.0,
                (window.top as f32 + bottom * window.height as f32) / 90.0,
                (window.left as f32 + right * window.width as f32) / 120.0,
            ];
            let (_, original) = objects[class];
            for side in 0..2 {
                assert!(
                    back[side] >= original[side] - 1e-5
                        && back[side + 2] <= original[side + 2] + 1e-5
                );
            }
            cut += usize::from((back[2] - back[0]) < (original[2] - original[0]) - 1e-3);
        }
    }
    // A photo is left whole in about 15 of 100 cases, and more often where nothing else was found.
    assert!((250..700).contains(&whole), "{whole}");
    assert!(none > 0 && none < 200 && cut > 100, "{none} {cut}");
    let (_, kept) = crop([90, 120], &[], &mut rng);
    assert!(kept.is_empty());
}

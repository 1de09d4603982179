//! The example `posenet` against numpy (`golden/posenet.py`): its network with made weights, written as
//! the package has them, and its decoder on made maps.

#[path = "../../examples/posenet/decode.rs"]
mod decode;
#[path = "../../examples/posenet/network.rs"]
mod network;

use decode::{Part, VALUES, decode};
use network::PoseNet;
use serde_json::{Value, json};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/posenet.json")).unwrap()
}

fn numbers(values: &Value) -> Vec<f32> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap() as f32).collect()
}

/// The values in [-1, 1) that the golden file's formula makes of a name.
fn uniform(name: &str, count: usize) -> impl Iterator<Item = f64> + use<> {
    let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

/// Shapes of the package's weights by their numbers, in the order of its file.
fn shapes() -> Vec<(usize, [usize; 4])> {
    let depths = [24, 48, 96, 96, 192, 192].into_iter().chain([384; 8]);
    let depths: Vec<usize> = depths.collect();
    let heads = [(61, 32), (59, 32), (57, 17)];
    let mut shapes: Vec<_> = heads.map(|(n, out)| (n, [1, 1, 384, out])).into();
    shapes.push((55, [3, 3, 3, 24]));
    for (block, pair) in depths.windows(2).enumerate() {
        shapes.push((53 - 4 * block, [3, 3, pair[0], 1]));
        shapes.push((51 - 4 * block, [1, 1, pair[0], pair[1]]));
    }
    shapes.push((1, [1, 1, 384, 34]));
    shapes
}

/// Writes `posenet.json` and `posenet.bin` with made weights.
fn write(folder: &std::path::Path) {
    let (mut weights, mut bytes) = (Vec::new(), Vec::new());
    let mut tensor = |name: String, shape: &[usize], scale: f64| {
        let values = uniform(&name, shape.iter().product());
        bytes.extend(values.flat_map(|value| ((scale * value) as f32).to_le_bytes()));
        weights.push(json!({ "name": name, "shape": shape, "dtype": "float32" }));
    };
    for (number, shape) in shapes() {
        let [rows, columns, inputs, outputs] = shape;
        let (products, channels) = match outputs {
            1 => (rows * columns, inputs),
            _ => (rows * columns * inputs, outputs),
        };
        tensor(
            format!("Const_{number}"),
            &shape,
            (6.0 / products as f64).sqrt(),
        );
        let bias = match number {
            1 => "Const".to_string(),
            _ => format!("Const_{}", number - 1),
        };
        tensor(bias, &[channels], 0.1);
    }
    let group = json!([{ "paths": ["posenet.bin"], "weights": weights }]);
    let manifest = json!({ "modelTopology": {}, "weightsManifest": group });
    std::fs::write(folder.join("posenet.json"), manifest.to_string()).unwrap();
    std::fs::write(folder.join("posenet.bin"), bytes).unwrap();
}

#[test]
fn numpys_network() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let manifest = folder.path().join("posenet.json");
    let image: Vec<f32> = uniform("image", 33 * 49 * 3)
        .map(|value| value as f32)
        .collect();
    let mut network = PoseNet::open(&manifest, [33, 49]).unwrap();
    let (maps, columns) = network.run(&image).unwrap();
    let expected = numbers(&golden()["network"]["maps"]);
    assert_eq!((maps.len(), columns), (expected.len(), 4));
    for (found, expected) in maps.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
    }
    assert!(network.run(&image[1..]).is_err());

    let refused = || {
        PoseNet::open(&manifest, [33, 49])
            .err()
            .unwrap()
            .to_string()
    };
    let text = std::fs::read_to_string(&manifest).unwrap();
    // Blocks of another depth, and a tensor under another name.
    std::fs::write(&manifest, text.replace("[1,1,384,384]", "[1,1,192,768]")).unwrap();
    assert!(
        refused().contains("Conv2d_7_pointwise.weight"),
        "{}",
        refused()
    );
    // Scores of half as many parts, and displacements of more edges.
    let swapped = text
        .replace("384,17]", "384,9]")
        .replace("384,34]", "384,42]");
    let swapped = swapped.replace("[17]", "[9]").replace("[34]", "[42]");
    std::fs::write(&manifest, swapped).unwrap();
    assert!(
        refused().contains("`Const_57`: [1, 1, 384, 9], expected [1, 1, 384, 17]"),
        "{}",
        refused()
    );
    std::fs::write(&manifest, text.replace("\"Const_57\"", "\"Heat\"")).unwrap();
    assert!(refused().contains("`Const_57` is missing"), "{}", refused());
    std::fs::write(folder.path().join("posenet.bin"), [0; 9]).unwrap();
    assert!(
        refused().contains("posenet.bin: 9 bytes, expected 5032780"),
        "{}",
        refused()
    );
}

#[test]
fn numpys_poses() {
    let golden = golden();
    let cases = golden["decoder"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let [rows, columns, most] =
            ["rows", "columns", "most"].map(|key| case[key].as_u64().unwrap() as usize);
        let values = uniform(&format!("maps {rows}x{columns}"), rows * columns * VALUES);
        let maps = values.enumerate().map(|(index, value)| {
            let scale = match index % VALUES {
                0..17 => 3.0,
                17..51 => 12.0,
                _ => 40.0,
            };
            (scale * value) as f32
        });
        let maps: Vec<f32> = maps.collect();
        let found = decode(&maps, columns, most);
        let expected = case["poses"].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let score = expected["score"].as_f64().unwrap() as f32;
            assert!(
                (found.score - score).abs() < 1e-5,
                "{} {score}",
                found.score
            );
            let parts = expected["parts"].as_array().unwrap();
            for (Part { score, point }, part) in found.parts.iter().zip(parts) {
                let [s, y, x] = numbers(part).try_into().unwrap();
                assert!((score - s).abs() < 1e-5, "{score} {s}");
                assert!(
                    (point[0] - y).abs() < 1e-3 && (point[1] - x).abs() < 1e-3,
                    "{point:?} {y} {x}"
                );
            }
        }
    }
}

#[test]
fn broken_maps_have_nobody() {
    assert!(decode(&[], 4, 10).is_empty());
    assert!(decode(&[0.0; VALUES], 0, 10).is_empty());
    assert!(decode(&[f32::NAN; 2 * VALUES], 2, 10).is_empty());
    // Far outside the image, and scores that are as likely as not.
    let mut far = [0.0; 6 * VALUES];
    far.chunks_mut(VALUES)
        .for_each(|cell| cell[17..].fill(-1e30));
    assert_eq!(decode(&far, 3, 10).len(), 1);
}

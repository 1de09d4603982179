//! temp
use mobilenet_model::initialize::*;
use mobilenet_model::*;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (w, r, b, t): (f64, usize, usize, usize) = (
        a[1].parse().unwrap(),
        a[2].parse().unwrap(),
        a[3].parse().unwrap(),
        a[4].parse().unwrap(),
    );
    let config = MobileNetV1Config {
        num_classes: Some(1001),
        ..MobileNetV1Config::with_width(w)
    };
    let mut plan = TrainingPlan::new(&config, &TrainingPlanOptions::new([r, r], b, t)).unwrap();
    println!("arena {} MB", plan.arena_bytes() >> 20);
    let p = plan
        .layout()
        .flatten(&random_parameters(&config, 1).unwrap())
        .unwrap();
    let images: Vec<f32> = (0..plan.images_len())
        .map(|i| ((i * 7919 % 1000) as f32) / 500.0 - 1.0)
        .collect();
    let mut logits = vec![0.0; plan.logits_len()];
    let d: Vec<f32> = (0..plan.logits_len())
        .map(|i| ((i * 31 % 17) as f32) / 1000.0)
        .collect();
    let mut g = vec![0.0; p.len()];
    let (mut fs, mut bs) = (vec![], vec![]);
    for _ in 0..a[5].parse().unwrap() {
        let s = Instant::now();
        plan.forward(&p, &images, None, &mut logits).unwrap();
        let m = Instant::now();
        plan.backward(&p, &images, None, &d, &mut g).unwrap();
        fs.push((m - s).as_secs_f64() * 1e3);
        bs.push(m.elapsed().as_secs_f64() * 1e3);
    }
    fs.sort_by(f64::total_cmp);
    bs.sort_by(f64::total_cmp);
    println!(
        "forward {:.1} backward {:.1} -> {:.0} img/s  (median {:.1} {:.1})",
        fs[0],
        bs[0],
        b as f64 * 1e3 / (fs[0] + bs[0]),
        fs[fs.len() / 2],
        bs[bs.len() / 2]
    );
}

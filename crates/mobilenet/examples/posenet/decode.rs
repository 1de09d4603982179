//! PoseNet's maps -> people: the fast greedy decoder of several poses.
//!
//! A cell of the maps has, for 17 parts of a body, a score and the part's offset from the cell's
//! corner; and for 16 edges from part to part how far the other end is away, forward and backward.

/// Pixels of the image from one cell to the next.
pub(crate) const STRIDE: usize = 16;

/// The parts, in the network's order.
#[rustfmt::skip]
pub(crate) const PARTS: [&str; 17] = [
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder",
    "left elbow", "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee",
    "right knee", "left ankle", "right ankle",
];

/// The two parts of each edge, the one nearer to the nose first.
#[rustfmt::skip]
const EDGES: [[usize; 2]; 16] = [
    [0, 1], [1, 3], [0, 2], [2, 4], [0, 5], [5, 7], [7, 9], [5, 11], [11, 13], [13, 15],
    [0, 6], [6, 8], [8, 10], [6, 12], [12, 14], [14, 16],
];

/// Numbers of a cell: scores before the logistic function, offsets (17 rows, 17 columns), and
/// displacements along the edges, forward and backward (16 rows, 16 columns each).
pub(crate) const VALUES: usize = BACKWARD + 32;
const OFFSETS: usize = PARTS.len();
const FORWARD: usize = OFFSETS + 34;
const BACKWARD: usize = FORWARD + 32;

/// Points of one part that are not farther from each other than these pixels are the same.
const RADIUS: f32 = 20.0;

/// A part of a person: its probability; row and column in pixels of the network's image.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) score: f32,
    pub(crate) point: [f32; 2],
}

/// A person. The score is the mean of the parts' scores, where a part that is also a person's who was
/// found before counts as 0.
#[derive(Debug, Clone)]
pub(crate) struct Pose {
    pub(crate) score: f32,
    pub(crate) parts: [Part; PARTS.len()],
}

struct Maps<'a> {
    cells: &'a [[f32; VALUES]],
    /// Rows and columns.
    size: [usize; 2],
}

impl<'a> Maps<'a> {
    fn cell(&self, [row, column]: [usize; 2]) -> &'a [f32; VALUES] {
        &self.cells[row * self.size[1] + column]
    }

    /// Where a part is, by the offset in a cell.
    fn point(&self, at: [usize; 2], part: usize) -> [f32; 2] {
        let offsets = &self.cell(at)[OFFSETS..FORWARD];
        [0, 1].map(|axis| (STRIDE * at[axis]) as f32 + offsets[PARTS.len() * axis + part])
    }

    /// The cell whose corner is nearest to a point. A negative number becomes cell 0.
    fn nearest(&self, point: [f32; 2]) -> [usize; 2] {
        let index = |axis: usize| (point[axis] / STRIDE as f32).round() as usize;
        [0, 1].map(|axis| index(axis).min(self.size[axis] - 1))
    }

    fn part(&self, cell: [usize; 2], part: usize, point: [f32; 2]) -> Part {
        let score = 1.0 / (1.0 + (-self.cell(cell)[part]).exp());
        Part { score, point }
    }

    /// Cells and parts with probabilities from 0.5, and as high as in the eight cells around; the
    /// highest first.
    fn candidates(&self) -> Vec<([usize; 2], usize)> {
        let [rows, columns] = self.size;
        let around = |at: usize, size: usize| at.saturating_sub(1)..(at + 2).min(size);
        let mut found = Vec::new();
        for at in (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column])) {
            for (part, &score) in self.cell(at)[..OFFSETS].iter().enumerate() {
                let mut window = around(at[0], rows)
                    .flat_map(|row| around(at[1], columns).map(move |column| [row, column]));
                if score >= 0.0 && window.all(|other| self.cell(other)[part] <= score) {
                    found.push((score, at, part));
                }
            }
        }
        found.sort_by(|one, other| other.0.total_cmp(&one.0));
        found.into_iter().map(|(_, at, part)| (at, part)).collect()
    }

    /// All parts of a body, from one of them along the edges.
    fn body(&self, at: [usize; 2], root: usize) -> [Part; PARTS.len()] {
        let mut parts = [None; PARTS.len()];
        parts[root] = Some(self.part(at, root, self.point(at, root)));
        let edges = || EDGES.into_iter().enumerate();
        let backward = edges()
            .rev()
            .map(|(edge, [to, from])| (from, to, BACKWARD + edge));
        let forward = edges().map(|(edge, [from, to])| (from, to, FORWARD + edge));
        for (from, to, step) in backward.chain(forward) {
            let (Some(Part { point, .. }), None) = (parts[from], parts[to]) else {
                continue;
            };
            let cell = self.cell(self.nearest(point));
            let mut point = [point[0] + cell[step], point[1] + cell[step + 16]];
            for _ in 0..2 {
                point = self.point(self.nearest(point), to);
            }
            parts[to] = Some(self.part(self.nearest(point), to, point));
        }
        parts.map(Option::unwrap_or_default)
    }
}

/// The people in the maps, those with the surest part first, and not more than `most`. `maps` are the
/// [`VALUES`] of all cells by rows of `columns` cells; what is too little for a row is left out.
pub(crate) fn decode(maps: &[f32], columns: usize, most: usize) -> Vec<Pose> {
    let (cells, _) = maps.as_chunks();
    let rows = cells.len().checked_div(columns).unwrap_or(0);
    let size = [rows, columns];
    let maps = Maps { cells, size };
    let mut poses: Vec<Pose> = Vec::new();
    for (at, root) in maps.candidates() {
        if poses.len() == most {
            break;
        }
        let is_known = |part: usize, [row, column]: [f32; 2]| {
            let mut known = poses.iter().map(|pose| pose.parts[part].point);
            known.any(|[r, c]| (r - row).powi(2) + (c - column).powi(2) <= RADIUS * RADIUS)
        };
        if is_known(root, maps.point(at, root)) {
            continue;
        }
        let parts = maps.body(at, root);
        let new = (0..parts.len()).filter(|&part| !is_known(part, parts[part].point));
        let score = new.map(|part| parts[part].score).sum::<f32>() / parts.len() as f32;
        poses.push(Pose { score, parts });
    }
    poses
}

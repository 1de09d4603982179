//! Cells of the S2 library: the six faces of a cube around the earth, divided into four up to 30 times.
//! A number has the face in its first three bits, two bits for each division in the order of a Hilbert
//! curve, then a 1 and zeros. So the cells inside a cell have the numbers around its own.

use super::Place;

/// Divisions of the smallest cells.
const LEVELS: u32 = 30;

/// A curve runs through the four parts of a square, which have the numbers `2 * i + j`, in one of four
/// ways. For each way, the part at each position.
const PART_AT: [[u64; 4]; 4] = [[0, 1, 3, 2], [0, 2, 3, 1], [3, 2, 0, 1], [3, 1, 0, 2]];

/// How the way inside of a part differs from that through the square, by the part's position.
const TURN_AT: [usize; 4] = [1, 0, 0, 3];

/// A cell by its S2 number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell(u64);

impl Cell {
    /// The six largest cells.
    pub(super) fn faces() -> [Self; 6] {
        [0, 1, 2, 3, 4, 5].map(|face: u64| Self((face << 61) | (1 << 60)))
    }

    /// The smallest cell with this place, about a centimetre wide.
    pub fn of(place: Place) -> Self {
        let (latitude, longitude) = (place.latitude.to_radians(), place.longitude.to_radians());
        let [x, y, z] = [
            latitude.cos() * longitude.cos(),
            latitude.cos() * longitude.sin(),
            latitude.sin(),
        ];
        let axis = match (x.abs(), y.abs(), z.abs()) {
            (x, y, z) if x > y && x > z => 0,
            (_, y, z) if y > z => 1,
            _ => 2,
        };
        let (face, u, v) = match axis {
            0 if x < 0.0 => (3, z / x, y / x),
            0 => (0, y / x, z / x),
            1 if y < 0.0 => (4, z / y, -x / y),
            1 => (1, -x / y, z / y),
            _ if z < 0.0 => (5, -y / z, -x / z),
            _ => (2, -x / z, -y / z),
        };
        let [i, j] = [u, v].map(|along| {
            let size = 1u64 << LEVELS;
            // Negative numbers become 0.
            ((from_cube(along) * size as f64) as u64).min(size - 1)
        });
        let (mut way, mut positions) = (face & 1, 0u64);
        for bit in (0..LEVELS).rev() {
            let part = (((i >> bit) & 1) << 1) | ((j >> bit) & 1);
            let parts = PART_AT.get(way).copied().unwrap_or_default();
            let position = parts.iter().position(|&one| one == part).unwrap_or(0);
            positions = (positions << 2) | position as u64;
            way ^= TURN_AT.get(position).copied().unwrap_or(0);
        }
        Self(((face as u64) << 61) | (positions << 1) | 1)
    }

    /// The cell with this name: S2's token, the number in hexadecimal without its last zeros.
    pub fn of_token(token: &str) -> Option<Self> {
        let digits = token.len();
        let is_hex = token.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || !(1..=16).contains(&digits) {
            return None;
        }
        let number = u64::from_str_radix(token, 16).ok()? << (4 * (16 - digits));
        let zeros = number.trailing_zeros();
        let is_cell = number >> 61 < 6 && zeros <= 2 * LEVELS && zeros.is_multiple_of(2);
        is_cell.then_some(Self(number))
    }

    /// S2's token.
    pub fn token(self) -> String {
        let digits = format!("{:016x}", self.0);
        digits.trim_end_matches('0').to_string()
    }

    /// How many times a face is divided, 0 to 30.
    pub fn level(self) -> u32 {
        LEVELS - self.0.trailing_zeros() / 2
    }

    /// Its four parts; a smallest cell has none.
    pub(super) fn parts(self) -> Option<[Self; 4]> {
        let (own, part) = (self.last_bit(), self.last_bit() >> 2);
        let number = |position: u64| Self(self.0 - own + (2 * position + 1) * part);
        (part > 0).then(|| [0, 1, 2, 3].map(number))
    }

    /// Whether the other cell is inside of this one, or is this one.
    pub fn contains(self, other: Self) -> bool {
        (self.first()..=self.last()).contains(&other.0)
    }

    pub(super) fn number(self) -> u64 {
        self.0
    }

    /// The least number of a cell inside.
    pub(super) fn first(self) -> u64 {
        self.0 - (self.last_bit() - 1)
    }

    /// The highest number of a cell inside.
    pub(super) fn last(self) -> u64 {
        self.0 + (self.last_bit() - 1)
    }

    fn last_bit(self) -> u64 {
        1 << self.0.trailing_zeros()
    }

    /// Its centre, in the middle of its range on the face.
    pub fn centre(self) -> Place {
        let face = (self.0 >> 61) as usize;
        let (mut way, mut i, mut j) = (face & 1, 0u64, 0u64);
        for division in 0..self.level() {
            let position = ((self.0 >> (59 - 2 * division)) & 3) as usize;
            let parts = PART_AT.get(way).copied().unwrap_or_default();
            let part = parts.get(position).copied().unwrap_or(0);
            (i, j) = ((i << 1) | (part >> 1), (j << 1) | (part & 1));
            way ^= TURN_AT.get(position).copied().unwrap_or(0);
        }
        let size = (1u64 << self.level()) as f64;
        let [u, v] = [i, j].map(|along| to_cube((along as f64 + 0.5) / size));
        let [x, y, z] = match face {
            0 => [1.0, u, v],
            1 => [-u, 1.0, v],
            2 => [-u, -v, 1.0],
            3 => [-1.0, -v, -u],
            4 => [v, -1.0, -u],
            _ => [v, u, -1.0],
        };
        Place {
            latitude: z.atan2(x.hypot(y)).to_degrees(),
            longitude: y.atan2(x).to_degrees(),
        }
    }
}

/// From -1 to 1 on the cube to 0 to 1 on the face: S2's quadratic rule, so that cells have about the same
/// size.
fn from_cube(u: f64) -> f64 {
    if u >= 0.0 {
        0.5 * (1.0 + 3.0 * u).sqrt()
    } else {
        1.0 - 0.5 * (1.0 - 3.0 * u).sqrt()
    }
}

fn to_cube(s: f64) -> f64 {
    if s >= 0.5 {
        (4.0 * s * s - 1.0) / 3.0
    } else {
        (1.0 - 4.0 * (1.0 - s) * (1.0 - s)) / 3.0
    }
}

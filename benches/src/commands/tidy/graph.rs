//! Finds circles among files: a file imports another, which imports the first directly or through
//! others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::imports::Imports;

/// The shortest circle of each strongly connected component: a set of files that all reach each
/// other through imports. A circle begins and ends with the same file.
pub(super) fn circles(imports: &Imports) -> Vec<Vec<usize>> {
    let mut circles = Vec::new();
    let mut done = BTreeSet::new();
    for file in files(imports) {
        if done.contains(&file) {
            continue;
        }
        let component = component(imports, file);
        let shortest = component
            .iter()
            .filter_map(|&file| path(imports, file, file));
        circles.extend(shortest.min_by_key(Vec::len));
        done.extend(component);
    }
    circles
}

/// Whether an import is part of a circle.
pub(super) fn closes_a_circle(imports: &Imports, (from, to): (usize, usize)) -> bool {
    imports.contains(&(from, to)) && path(imports, to, from).is_some()
}

fn files(imports: &Imports) -> BTreeSet<usize> {
    imports.iter().flat_map(|&(from, to)| [from, to]).collect()
}

/// The strongly connected component of a file: the files that it reaches and that reach it.
fn component(imports: &Imports, file: usize) -> Vec<usize> {
    let reaches = |&other: &usize| {
        other == file
            || (path(imports, file, other).is_some() && path(imports, other, file).is_some())
    };
    files(imports).into_iter().filter(reaches).collect()
}

/// The shortest path of at least one import.
fn path(imports: &Imports, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(file) = queue.pop_front() {
        for &(_, next) in imports.range((file, 0)..(file + 1, 0)) {
            if next == to {
                let mut chain = vec![to, file];
                let mut at = file;
                while let Some(&before) = came_from.get(&at) {
                    chain.push(before);
                    at = before;
                }
                chain.reverse();
                return Some(chain);
            }
            if next != from && !came_from.contains_key(&next) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_circle_of_each_component() {
        let none = Imports::from([(0, 1), (0, 2), (1, 2)]);
        assert!(circles(&none).is_empty());
        let two = Imports::from([
            (0, 1),
            (1, 2),
            (2, 0),
            (2, 1),
            (2, 3),
            (4, 3),
            (3, 5),
            (5, 4),
        ]);
        assert_eq!(circles(&two), [vec![1, 2, 1], vec![3, 5, 4, 3]]);
    }

    #[test]
    fn imports_between_components_close_no_circle() {
        let imports = Imports::from([(0, 1), (1, 0), (1, 2), (2, 3), (3, 2)]);
        assert!(closes_a_circle(&imports, (1, 0)));
        assert!(!closes_a_circle(&imports, (1, 2)));
        assert!(!closes_a_circle(&imports, (0, 3)));
    }
}

//! Pairs that are alike -> groups.

/// The groups of at least two among `count` things, given pairs that belong together. Groups and
/// their members are in order.
///
/// ```
/// use mobilenet::features::groups;
///
/// assert_eq!(groups(6, &[(4, 1), (0, 5), (1, 2)]), [vec![0, 5], vec![1, 2, 4]]);
/// ```
///
/// # Panics
/// If a pair names a thing that is not below `count`.
pub fn groups(count: usize, pairs: &[(usize, usize)]) -> Vec<Vec<usize>> {
    // Each thing points to a smaller one of its group; the smallest points to itself.
    let mut parent: Vec<usize> = (0..count).collect();
    let root = |parent: &mut [usize], mut at: usize| {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    };
    for &(a, b) in pairs {
        let (a, b) = (root(&mut parent, a), root(&mut parent, b));
        parent[a.max(b)] = a.min(b);
    }
    let mut groups = vec![Vec::new(); count];
    for at in 0..count {
        groups[root(&mut parent, at)].push(at);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

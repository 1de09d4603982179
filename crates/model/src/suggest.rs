//! "Did you mean": the known name that is nearest to an unknown one.

/// The nearest of the known names, unless more than a quarter of its letters differ.
///
/// ```
/// use mobilenet_model::suggest::nearest;
///
/// let known = ["Conv2d_12_pointwise", "Logits"];
/// assert_eq!(nearest("Conv2d_12_pointwse", known), Some("Conv2d_12_pointwise"));
/// assert_eq!(nearest("softmax", known), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::levenshtein(name, known), known))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, known)| 4 * distance <= known.len())
        .map(|(_, known)| known)
}

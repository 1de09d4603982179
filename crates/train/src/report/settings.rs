//! A recipe in words.

use serde_json::Value;

use super::text::rounded;
use crate::recipe::Recipe;

/// The recipe as names and values.
pub(crate) fn settings(recipe: &Recipe) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(recipe) else {
        return Vec::new();
    };
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.replace('_', " "), readable(&value)))
        .collect()
}

/// A setting in words. One with settings of its own begins with its name, which serde stores under
/// `name` or `kind`.
fn readable(value: &Value) -> String {
    match value {
        Value::Null => "none".to_string(),
        Value::Bool(true) => "yes".to_string(),
        Value::Bool(false) => "no".to_string(),
        Value::Number(number) => match number.as_f64() {
            Some(value) if number.is_f64() => rounded(value),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(readable).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let is_name = |field: &str| ["name", "kind"].contains(&field);
            let name = fields.iter().find(|(field, _)| is_name(field));
            let name = name.map(|(_, value)| readable(value));
            let rest = fields.iter().filter(|(field, _)| !is_name(field));
            let rest = rest
                .map(|(field, value)| format!("{} {}", field.replace('_', " "), readable(value)));
            name.into_iter().chain(rest).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{GradientClipping, OptimizerConfig};
    use crate::recipe::Trainable;

    #[test]
    fn settings_are_words_and_short_numbers() {
        let recipe = Recipe {
            optimizer: OptimizerConfig::Momentum {
                momentum: 0.1 + 0.2,
                nesterov: true,
            },
            clipping: Some(GradientClipping::GlobalNorm {
                limit: 22.660_166_999_998,
            }),
            trainable: Trainable::Scopes(vec!["Conv2d_13".to_string(), "Logits".to_string()]),
            seed: u64::MAX,
            ..Recipe::slim(7)
        };
        let settings = settings(&recipe);
        for (name, value) in [
            ("optimizer", "momentum, momentum 0.3, nesterov yes"),
            ("clipping", "global_norm, limit 22.6602"),
            ("trainable", "scopes Conv2d_13, Logits"),
            ("moving average", "none"),
            ("weight decay", "4e-5"),
            ("frozen batch norm", "no"),
            ("seed", "18446744073709551615"),
            ("steps", "7"),
        ] {
            let wanted = (name.to_string(), value.to_string());
            assert!(settings.contains(&wanted), "no {wanted:?} in {settings:?}");
        }
    }
}

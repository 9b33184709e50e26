//! Mann-Whitney U, as Kayenta's judge uses it: at 98 % confidence, with a tolerance of a quarter of the Hodges-Lehmann
//! estimate.

use std::collections::BTreeMap;

/// The standard normal distribution's quantile of 99 %: 1 % is left on either side.
const Z: f64 = 2.326;
const TOLERANCE: f64 = 0.25;

/// Whether `experiment` is certainly higher than `control`: the confidence interval of the shift is above the tolerance.
pub(super) fn is_higher(experiment: &[f64], control: &[f64]) -> bool {
    let differences = differences(experiment, control);
    let (n, m) = (experiment.len() as f64, control.len() as f64);
    let pairs = n * m;
    let estimate = at(&differences, pairs / 2.0);
    let lower = at(
        &differences,
        pairs / 2.0 - Z * (pairs * (n + m + 1.0) / 12.0).sqrt(),
    );
    lower > TOLERANCE * estimate.abs()
}

/// All differences of pairs in ascending order, each with its number. There are few values, so there are few of them.
fn differences(experiment: &[f64], control: &[f64]) -> Vec<(f64, u64)> {
    let (experiment, control) = (counted(experiment), counted(control));
    let mut differences = Vec::with_capacity(experiment.len() * control.len());
    for (value, count) in &experiment {
        for (other, others) in &control {
            differences.push((value - other, count * others));
        }
    }
    differences.sort_by(|a, b| a.0.total_cmp(&b.0));
    differences
}

fn counted(values: &[f64]) -> Vec<(f64, u64)> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value.to_bits()).or_insert(0) += 1;
    }
    counts
        .into_iter()
        .map(|(bits, count)| (f64::from_bits(bits), count))
        .collect()
}

/// The value at a place in the order.
fn at(differences: &[(f64, u64)], place: f64) -> f64 {
    let mut seen = 0;
    let reaches = |(_, count): &&(f64, u64)| {
        seen += count;
        seen as f64 >= place
    };
    differences
        .iter()
        .find(reaches)
        .map_or(0.0, |(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_shift_is_seen_and_none_is_not() {
        let control: Vec<f64> = (0..60).map(|i| f64::from(i % 7)).collect();
        let shifted: Vec<f64> = control.iter().map(|value| value + 5.0).collect();
        assert!(is_higher(&shifted, &control));
        assert!(!is_higher(&control, &shifted), "lower is not higher");
        assert!(!is_higher(&control, &control));
    }
}

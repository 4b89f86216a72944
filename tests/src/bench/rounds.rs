//! Medians.

/// The middle of some measurements; NaN of none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Median of `a / b`, round by round.
#[must_use]
pub fn ratio(a: &[f64], b: &[f64]) -> f64 {
    median(a.iter().zip(b).map(|(a, b)| a / b).collect())
}

/// The smallest value that this share of the measurements does not exceed; NaN of none.
#[must_use]
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = (share * values.len() as f64).ceil() as usize;
    values.get(index.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail_are_found() {
        assert!(median(Vec::new()).is_nan());
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
        assert_eq!(median(vec![3.0, 1.0, 9.0]), 3.0);
        assert_eq!(ratio(&[2.0, 3.0, 8.0], &[1.0, 1.0, 2.0]), 3.0);
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(quantile(values.clone(), 0.95), 19.0);
        assert_eq!(quantile(values, 1.0), 20.0);
        assert_eq!(quantile(vec![4.0], 0.95), 4.0);
    }
}

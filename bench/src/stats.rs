//! Order statistics and the comparison of interleaved slices.
//!
//! Neighbouring slices of one and the same server differ by 10 % and more on a shared machine, while the
//! median over many ratios of neighbours holds to a percent. Hence everything here is a median.

/// What one slice measured, whichever server it was.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Whether the server was the base.
    pub base: bool,
    /// CPU time per operation, or operations per second.
    pub value: f64,
}

/// A server against the base, from slices in the order in which they ran.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// Median of the base.
    pub base: f64,
    /// Median of the other server.
    pub ours: f64,
    /// First quartile, median and third quartile of ours / mean of the base slices before and behind it.
    pub ratio: [f64; 3],
    /// How many ratios.
    pub count: usize,
    /// Median of |base / previous base - 1|.
    pub spread: f64,
    /// Two standard errors of the median ratio, from the spread or the quartiles, whichever says more.
    pub noise: f64,
    /// How far the base moved from the first third of the run to the last.
    pub drift: f64,
}

impl Comparison {
    /// Compares; `None` if no slice has a base slice on both sides.
    pub fn of(samples: &[Sample]) -> Option<Comparison> {
        let base: Vec<f64> = samples.iter().filter(|s| s.base).map(|s| s.value).collect();
        let ours: Vec<f64> = samples.iter().filter(|s| !s.base).map(|s| s.value).collect();
        let ratios: Vec<f64> = (0..samples.len())
            .filter(|&at| !samples[at].base)
            .filter_map(|at| {
                let before = samples[..at].iter().rev().find(|s| s.base)?;
                let behind = samples[at..].iter().find(|s| s.base)?;
                Some(samples[at].value * 2.0 / (before.value + behind.value))
            })
            .collect();
        let steps: Vec<f64> = base.windows(2).map(|pair| (pair[1] / pair[0] - 1.0).abs()).collect();
        if ratios.is_empty() || steps.is_empty() {
            return None;
        }
        let spread = quantile(&steps, 0.5);
        let ratio = [0.25, 0.5, 0.75].map(|q| quantile(&ratios, q));
        let deviation = (spread * PER_SPREAD).max((ratio[2] - ratio[0]) / ratio[1] * PER_QUARTILES);
        let third = base.len().div_ceil(3);
        Some(Comparison {
            base: quantile(&base, 0.5),
            ours: quantile(&ours, 0.5),
            ratio,
            count: ratios.len(),
            spread,
            noise: TWO_ERRORS * deviation / (ratios.len() as f64).sqrt(),
            drift: quantile(&base[base.len() - third..], 0.5) / quantile(&base[..third], 0.5) - 1.0,
        })
    }

    /// `None` while the difference could be noise; else whether ours is below the base.
    pub fn below(&self) -> Option<bool> {
        ((self.ratio[1] - 1.0).abs() > self.noise).then_some(self.ratio[1] < 1.0)
    }
}

/// From the spread to the deviation of one ratio. With slices of standard deviation s the median step between
/// two of them is 0.95 s, and a slice divided by the mean of two others deviates by 1.22 s.
const PER_SPREAD: f64 = 1.22 / 0.95;

/// From the distance of the quartiles to the deviation, for a normal distribution.
const PER_QUARTILES: f64 = 1.0 / 1.35;

/// From the deviation of one ratio to two errors of the median of n, times sqrt(n): a median has 1.25 times the
/// error of a mean, and two neighbours share their bases, which leaves 1.16 of it.
const TWO_ERRORS: f64 = 2.0 * 1.25 * 1.16;

/// The value below which the share `q` of `values` lies, interpolated.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &[(bool, f64)]) -> Comparison {
        let samples: Vec<Sample> = values.iter().map(|&(base, value)| Sample { base, value }).collect();
        Comparison::of(&samples).unwrap()
    }

    #[test]
    fn a_machine_that_slows_down_does_not_change_the_ratio() {
        let slices: Vec<(bool, f64)> =
            (0..40).map(|n| (matches!(n % 4, 0 | 3), 10.0 + f64::from(n))).collect();
        let result = run(&slices);
        assert!((result.ratio[1] - 1.0).abs() < 0.01, "{result:?}");
        assert!(result.drift > 0.5, "{result:?}");
    }

    #[test]
    fn a_difference_within_the_noise_gets_no_verdict() {
        let noisy = [(true, 10.0), (false, 10.5), (false, 10.4), (true, 11.0)];
        assert_eq!(run(&noisy).below(), None);
        let quiet = [(true, 10.0), (false, 8.0), (false, 8.1), (true, 10.1)];
        assert_eq!(run(&quiet).below(), Some(true));
    }

    #[test]
    fn slices_without_a_base_on_both_sides_are_left_out() {
        let result = run(&[(false, 99.0), (true, 10.0), (false, 10.0), (true, 10.0), (false, 99.0)]);
        assert_eq!(result.count, 1);
        assert_eq!(result.ratio, [1.0; 3]);
    }

    #[test]
    fn quartiles_are_interpolated() {
        assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), 2.5);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0);
    }
}

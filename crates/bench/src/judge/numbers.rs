//! Numbers that look random, the same each time.

/// SplitMix64, after Steele, Lea and Flood, *Fast splittable pseudorandom number generators* (2014).
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// How many of so many requests fail.
    pub(super) fn failures(&mut self, requests: u64, rate: f64) -> u64 {
        let limit = (rate * u64::MAX as f64) as u64;
        (0..requests).filter(|_| self.next() < limit).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_what_they_should_be() {
        let mut numbers = Numbers::new(1);
        let failures = numbers.failures(1_000_000, 0.01);
        assert!((9_700..10_300).contains(&failures), "{failures}");
    }
}

use crate::Percentiles;

/// Buckets of an octave: a value is told to within 1/64, below 2 %.
const PER_OCTAVE_BITS: u32 = 5;
const PER_OCTAVE: usize = 1 << PER_OCTAVE_BITS;
/// Nanoseconds below this count as this: 2^13, eight microseconds.
const LEAST_BITS: u32 = 13;
/// Up to 2^43 ns, two and a half hours.
const OCTAVES: usize = 30;

/// Counts of latencies in buckets whose width grows with the value: 32 to the octave, 8 us to 2.4 hours.
///
/// No allocation but at its making; adding is a shift and an increment. Source: the bucket layout of HdrHistogram
/// (Tene), with half its resolution so that a day of 32 regions fits into memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: Vec<u32>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Histogram {
    pub(crate) fn add(&mut self, ns: u64) {
        if self.counts.is_empty() {
            self.counts.resize(OCTAVES * PER_OCTAVE, 0);
        }
        self.counts[bucket(ns)] += 1;
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.counts.is_empty() {
            self.counts.resize(OCTAVES * PER_OCTAVE, 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        if self.count == 0 {
            return Percentiles::default();
        }
        let at = |share: f64| self.quantile(share) as f64 / 1e6;
        Percentiles {
            count: self.count,
            mean_ms: self.sum_ns as f64 / self.count as f64 / 1e6,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.max_ns as f64 / 1e6,
        }
    }

    /// The middle of the bucket in which the quantile lies, never above the greatest value.
    fn quantile(&self, share: f64) -> u64 {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        for (i, n) in self.counts.iter().enumerate() {
            below += u64::from(*n);
            if below >= rank {
                return middle(i).min(self.max_ns);
            }
        }
        self.max_ns
    }
}

fn bucket(ns: u64) -> usize {
    let ns = ns.max(1 << LEAST_BITS);
    let octave = 63 - ns.leading_zeros();
    let within = (ns >> (octave - PER_OCTAVE_BITS)) as usize - PER_OCTAVE;
    ((octave - LEAST_BITS) as usize * PER_OCTAVE + within).min(OCTAVES * PER_OCTAVE - 1)
}

fn middle(bucket: usize) -> u64 {
    let octave = LEAST_BITS + (bucket / PER_OCTAVE) as u32;
    let width = 1_u64 << (octave - PER_OCTAVE_BITS);
    (PER_OCTAVE + bucket % PER_OCTAVE) as u64 * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;

    #[test]
    fn percentiles_are_within_two_percent_of_the_sorted_values() {
        let mut stream = Stream::named(3, "histogram");
        let mut histogram = Histogram::default();
        let mut values: Vec<u64> = (0..50_000).map(|_| (stream.exponential(40e6) as u64).max(10_000)).collect();
        values.iter().for_each(|v| histogram.add(*v));
        values.sort_unstable();
        let p = histogram.percentiles();
        for (share, got) in [(0.5, p.p50_ms), (0.9, p.p90_ms), (0.99, p.p99_ms), (0.999, p.p999_ms)] {
            let exact = values[(values.len() as f64 * share) as usize - 1] as f64 / 1e6;
            assert!((got / exact - 1.0).abs() < 0.02, "{share}: {got}, exactly {exact}");
        }
        assert_eq!(p.max_ms, values[values.len() - 1] as f64 / 1e6);
    }

    #[test]
    fn two_histograms_together_are_one_of_all_values() {
        let (mut a, mut b, mut all) = (Histogram::default(), Histogram::default(), Histogram::default());
        for n in 1..1_000_u64 {
            if n % 3 == 0 {
                a.add(n * n * 1_000)
            } else {
                b.add(n * n * 1_000)
            }
            all.add(n * n * 1_000);
        }
        a.merge(&b);
        assert_eq!(a.percentiles(), all.percentiles());
    }

    #[test]
    fn the_ends_of_the_range_have_buckets() {
        assert_eq!((bucket(0), bucket(1 << LEAST_BITS)), (0, 0));
        assert_eq!(bucket(u64::MAX), OCTAVES * PER_OCTAVE - 1);
    }
}

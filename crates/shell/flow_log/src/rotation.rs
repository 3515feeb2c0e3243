/// How long one file takes records, seconds: files begin at whole multiples of it (guide, "Flow log files": every five
/// minutes).
pub(crate) const FILE_S: u64 = 300;

/// How large a file grows, bytes as stored (guide, "Flow log files": 75 MB).
pub(crate) const FILE_BYTES: u64 = 75_000_000;

/// The beginning of the five minutes that `now_s` lies in, seconds since 1970: the time in a file's name.
pub(crate) const fn period(now_s: u64) -> u64 {
    now_s - now_s % FILE_S
}

/// When the period that `now_s` lies in is over, seconds since 1970.
pub(crate) const fn period_end(now_s: u64) -> u64 {
    period(now_s).saturating_add(FILE_S)
}

/// Whether a file that belongs to the period beginning at `period_s` and has grown to `bytes` takes no more at `now_s`.
///
/// A clock that went back ends it too: the name of the next file tells the time that its records do.
pub(crate) const fn is_full(period_s: u64, bytes: u64, now_s: u64) -> bool {
    bytes >= FILE_BYTES || period(now_s) != period_s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_ends_with_its_five_minutes_or_at_75_megabytes() {
        let period_s = period(1_700_000_123);
        assert_eq!((period_s, period_end(1_700_000_123)), (1_700_000_100, 1_700_000_400));
        for (bytes, now_s, full) in [
            (0, 1_700_000_100, false),
            (FILE_BYTES - 1, 1_700_000_399, false),
            (FILE_BYTES, 1_700_000_399, true),
            (0, 1_700_000_400, true),
            (0, 1_700_000_099, true),
        ] {
            assert_eq!(is_full(period_s, bytes, now_s), full, "{bytes} bytes at {now_s}");
        }
    }
}

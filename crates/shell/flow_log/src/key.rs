use std::hash::Hasher;
use std::path::{Path, PathBuf};

use perigee_model::{AcceleratorId, AccountId, FlowLogFormat, FlowLogs};
use siphasher::sip::SipHasher24;
use time::OffsetDateTime;

/// The home of the control API, which the keys of all flow logs name (`global-accelerator.md` sections 1.7 and 12).
const HOME_REGION: &str = "us-west-2";

/// Where the flow logs of one accelerator go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The directory that stands for the bucket.
    pub bucket: PathBuf,
    /// What keys begin with.
    pub prefix: String,
    /// Whose accelerator it is.
    pub account: AccountId,
    /// The accelerator.
    pub accelerator: AcceleratorId,
    /// How files are written.
    pub format: FlowLogFormat,
}

impl Destination {
    /// Where `logs` sends those of an accelerator.
    pub fn new(logs: &FlowLogs, account: AccountId, accelerator: AcceleratorId) -> Self {
        let FlowLogs { bucket, prefix, format } = logs.clone();
        Self { bucket, prefix, account, accelerator, format }
    }

    /// The key of a file that begins at `period_s`, seconds since 1970; `hash` tells it from others of that time.
    ///
    /// `PREFIX/AWSLogs/ACCOUNT/globalaccelerator/us-west-2/YYYY/MM/DD/` and
    /// `ACCOUNT_globalaccelerator_ACCELERATOR_YYYYMMDDTHHmmZ_HASH.log.gz`, or `.log.parquet`; the prefix `/` makes a
    /// double slash, as in the guide. Times beyond the year 9999 are written as its last minute.
    pub(crate) fn key(&self, period_s: u64, hash: u64) -> String {
        const LAST: i64 = 253_402_300_799;
        let at = i64::try_from(period_s).unwrap_or(LAST).min(LAST);
        let at = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let Self { prefix, account, accelerator, .. } = self;
        let suffix = match self.format {
            FlowLogFormat::Text => "log.gz",
            FlowLogFormat::Parquet => "log.parquet",
        };
        format!(
            "{prefix}/AWSLogs/{account}/globalaccelerator/{HOME_REGION}/{year:04}/{month:02}/{day:02}/\
             {account}_globalaccelerator_{accelerator}_{year:04}{month:02}{day:02}T{:02}{:02}Z_{hash:016x}.{suffix}",
            at.hour(),
            at.minute(),
        )
    }

    /// The file of a key: a directory has no double slashes, so those are one here.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        key.split('/')
            .filter(|step| !step.is_empty())
            .fold(Path::new(&self.bucket).to_owned(), |path, step| path.join(step))
    }
}

/// What tells a file from all others: `writer` is a number of the process's own, `serial` counts its files.
pub(crate) fn hash(writer: u64, serial: u64, period_s: u64) -> u64 {
    let mut hasher = SipHasher24::new();
    [writer, serial, period_s].into_iter().for_each(|part| hasher.write(&part.to_be_bytes()));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(prefix: &str, format: FlowLogFormat) -> Destination {
        let account = AccountId::new(123_456_789_012).unwrap();
        let accelerator = "5ba8bd7f-1c33-4ad5-8b7d-0123456789ab".parse().unwrap();
        Destination::new(&FlowLogs { bucket: "logs".into(), prefix: prefix.into(), format }, account, accelerator)
    }

    #[test]
    fn keys_are_those_of_the_guide() {
        let text = destination("flow", FlowLogFormat::Text);
        let key = text.key(1_542_931_500, 0x1fb1);
        assert_eq!(
            key,
            "flow/AWSLogs/123456789012/globalaccelerator/us-west-2/2018/11/23/123456789012_globalaccelerator_\
             5ba8bd7f-1c33-4ad5-8b7d-0123456789ab_20181123T0005Z_0000000000001fb1.log.gz"
        );
        assert_eq!(text.path(&key), Path::new("logs").join(&key));
        assert!(
            destination("a/b", FlowLogFormat::Parquet)
                .key(0, 0)
                .ends_with("_19700101T0000Z_0000000000000000.log.parquet")
        );
        assert!(text.key(u64::MAX, 0).contains("/9999/12/31/"));
    }

    #[test]
    fn a_prefix_of_a_slash_gives_a_double_slash_that_the_directory_does_not_have() {
        let slash = destination("/", FlowLogFormat::Text);
        let key = slash.key(0, 1);
        assert!(key.starts_with("//AWSLogs/123456789012/"), "{key}");
        assert!(slash.path(&key).starts_with("logs/AWSLogs/123456789012"));
    }

    #[test]
    fn files_of_one_time_differ_by_writer_and_by_number() {
        let hashes = [hash(1, 0, 300), hash(2, 0, 300), hash(1, 1, 300), hash(1, 0, 600)];
        assert!((1..4).all(|i| !hashes[..i].contains(&hashes[i])), "{hashes:x?}");
    }
}

use std::fmt;
use std::hash::Hasher;

use perigee_model::Instant;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::Watch;
use crate::zero::since_zero_ns;

/// What a run did, as a hash and, if somebody looks on, as lines.
///
/// Everything that is visible to a client or an operator enters: sessions, where flows went, answers, failures, health,
/// faults. Timers and samples that changed nothing do not, so that leaving them out does not show.
pub(crate) struct Trace<'a> {
    hasher: SipHasher13,
    watch: &'a mut dyn Watch,
    lines: bool,
    line: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Did {
    Fault = 1,
    Health = 2,
    Target = 3,
    Open = 4,
    Joined = 5,
    Refused = 6,
    Resolved = 7,
    Routed = 8,
    Answered = 9,
    Failed = 10,
    Control = 11,
}

impl Did {
    const fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Health => "health",
            Self::Target => "target",
            Self::Open => "open",
            Self::Joined => "joined",
            Self::Refused => "refused",
            Self::Resolved => "resolved",
            Self::Routed => "routed",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Control => "control",
        }
    }
}

impl<'a> Trace<'a> {
    pub(crate) fn new(watch: &'a mut dyn Watch) -> Self {
        let lines = watch.wants_trace();
        Self { hasher: SipHasher13::new(), watch, lines, line: String::new() }
    }

    /// Notes that at `now` this happened to `subject`, with `detail`.
    pub(crate) fn note(&mut self, now: Instant, did: Did, subject: u64, detail: u64) {
        self.hasher.write_u64(now.as_nanos());
        self.hasher.write_u64((subject << 8) | did as u64);
        self.hasher.write_u64(detail);
        if self.lines {
            self.print(now, did, format_args!("{subject:>10} {detail:>20}"));
        }
    }

    /// The same with a text, for the few things that have a name.
    pub(crate) fn say(&mut self, now: Instant, did: Did, text: &str) {
        self.hasher.write_u64(now.as_nanos());
        self.hasher.write_u8(did as u8);
        self.hasher.write(text.as_bytes());
        if self.lines {
            self.print(now, did, format_args!("{text}"));
        }
    }

    fn print(&mut self, now: Instant, did: Did, rest: fmt::Arguments<'_>) {
        use fmt::Write;
        self.line.clear();
        let ns = since_zero_ns(now);
        let (seconds, nanos) = (ns / 1_000_000_000, ns % 1_000_000_000);
        // Writing to a string cannot fail.
        let _ = write!(self.line, "{seconds:>7}.{nanos:09} {:<9} {rest}", did.name());
        self.watch.trace(&self.line);
    }

    pub(crate) fn progress(&mut self, progress: &crate::Progress) {
        self.watch.progress(progress);
    }

    /// The hash of everything so far, 32 hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        let hash = self.hasher.finish128();
        format!("{:016x}{:016x}", hash.h1, hash.h2)
    }
}

/// States worth reaching: a search that never came there has proved nothing about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Reached {
    FlowsJudged,
    Failovers,
    EdgeFailOpens,
    DialsPassedOn,
    DialSpans,
    SameClientAgain,
    Retries,
    JoinedElsewhere,
    Resets,
    LostInFlight,
    TimedOut,
    FlowsRefused,
    RequestsRouted,
    TargetFailOpens,
    BadStatus,
    NodeRestarts,
    TargetsFell,
    FrontsLostRegion,
    HeldBack,
    DnsAnswers,
    DnsFailovers,
    DnsFailOpens,
    DnsStale,
    DialsChanged,
    DialsWaited,
    Partitions,
    Cables,
    Crashes,
    Blackholes,
    Errors,
    Slow,
    Gray,
    SaidUnhealthy,
    EdgesDied,
    ByChance,
    CalmFlows,
    CalmAnswers,
}

/// How often each was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts(pub(crate) [u64; NAMES.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Counts {
    pub(crate) const fn add(&mut self, reached: Reached, n: u64) {
        self.0[reached as usize] += n;
    }
}

/// In words, in the order of [`Reached`].
pub(crate) const NAMES: [&str; 37] = [
    "flows judged",
    "failovers to another region",
    "fail-opens at an edge",
    "flows that dials passed on",
    "spans of dials compared with chance",
    "flows of a client that must go where its last went",
    "retries inside a connection",
    "flows joined elsewhere than first meant",
    "connections reset or refused",
    "requests lost in flight",
    "requests timed out",
    "flows refused after every attempt",
    "requests routed to a target",
    "fail-opens at a load balancer",
    "answers with status 500 or above",
    "load balancer nodes started again",
    "targets found unhealthy",
    "regions found unhealthy by a front tier",
    "nodes held back after coming back",
    "DNS answers",
    "DNS answers naming another region than the closest",
    "DNS fail-opens",
    "requests by a DNS answer that was out of date",
    "dials changed",
    "dials that waited for the control side",
    "partitions",
    "cables cut",
    "crashes",
    "blackholes",
    "errors",
    "slow machines",
    "gray failures",
    "load balancers said to be unhealthy",
    "edges lost",
    "faults by chance",
    "flows in the calm",
    "DNS answers in the calm",
];

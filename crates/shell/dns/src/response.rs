use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use perigee_model::{RegionIndex, ZoneIndex};

use crate::zones::{Node, Zone};

/// Records of one owner and type: what is answered, signed and left out as a whole (RFC 2181 section 5).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RrSet {
    pub(crate) owner: Name,
    pub(crate) record_type: RecordType,
    /// Seconds, the same for all of them (RFC 2181 section 5.2).
    pub(crate) ttl_s: u32,
    /// At least one; in the order that they are sent in.
    pub(crate) data: Vec<RData>,
}

impl RrSet {
    /// A set of one record.
    pub(crate) fn one(owner: Name, ttl_s: u32, data: RData) -> Self {
        Self { owner, record_type: data.record_type(), ttl_s, data: vec![data] }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = Record> {
        self.data.iter().map(|data| Record::from_rdata(self.owner.clone(), self.ttl_s, data.clone()))
    }
}

/// What an answer denies, for the signer to prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    /// The name exists, the type asked for does not; `types` are all that it could have for any client
    /// (`spec/dns.md` section 6, "Bitmap must be honest"). None for an empty non-terminal. A delegation without DS is
    /// one too: NS alone.
    NoData { name: Name, types: Vec<RecordType> },
    /// Nothing is at the name or below.
    NoName { name: Name },
}

/// Why an answer is what it is, in a code of RFC 8914.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtendedError {
    pub(crate) code: u16,
    /// May be empty.
    pub(crate) text: &'static str,
}

impl ExtendedError {
    pub(crate) const fn code(code: u16) -> Self {
        Self { code, text: "" }
    }
}

/// What goes back, before it is bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Response {
    pub(crate) code: ResponseCode,
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<RrSet>,
    pub(crate) authority: Vec<RrSet>,
    pub(crate) additional: Vec<RrSet>,
    /// ECS scope, used if the query had a client subnet.
    pub(crate) scope: u8,
    pub(crate) extended_error: Option<ExtendedError>,
    /// What was asked for, for the counters.
    pub(crate) kind: Kind,
    /// The region that a policy's answer names.
    pub(crate) region: Option<RegionIndex>,
    /// The zone that the answer is from, whose keys sign it; none if there was none.
    pub(crate) zone: Option<ZoneIndex>,
    pub(crate) denial: Option<Denial>,
}

/// Kinds of names, as the counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    At(Node),
    /// In the zone, but there is nothing.
    Absent,
    /// Not in the zone.
    Outside,
    /// No question was looked at.
    None,
}

impl Kind {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::At(Node::Apex) => "apex",
            Self::At(Node::NameServer) => "name_server",
            Self::At(Node::Latency(_)) => "latency",
            Self::At(Node::Why(_)) => "why",
            Self::At(Node::Accelerator(_)) => "accelerator",
            Self::At(Node::LoadBalancer(_)) => "load_balancer",
            Self::At(Node::Static) => "static",
            Self::At(Node::Policy(_)) => "policy",
            Self::At(Node::Delegation) => "delegation",
            Self::At(Node::EmptyNonTerminal) => "empty",
            Self::Absent => "absent",
            Self::Outside => "outside",
            Self::None => "none",
        }
    }
}

impl Response {
    /// Nothing but a code.
    pub(crate) fn error(code: ResponseCode) -> Self {
        Self {
            code,
            authoritative: false,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            scope: 0,
            extended_error: None,
            kind: Kind::None,
            region: None,
            zone: None,
            denial: None,
        }
    }

    pub(crate) fn found(kind: Kind, answers: Vec<RrSet>) -> Self {
        Self { authoritative: true, answers, kind, ..Self::error(ResponseCode::NoError) }
    }

    /// Turns it into a denial by `zone`, for everyone alike (E15b); CNAMEs that led there stay.
    pub(crate) fn deny(&mut self, code: ResponseCode, zone: &Zone, denial: Denial) {
        if self.answers.is_empty() {
            self.scope = 0;
            self.region = None;
        }
        self.code = code;
        self.authority = vec![zone.negative_soa.clone()];
        self.denial = Some(denial);
    }
}
